//! TEMPORARY
use std::io::Write;
pub fn run() {
    let args: Vec<String> = std::env::args().collect();
    let result = if args.get(1).map(String::as_str) == Some("demo") {
        crate::app::demo(args.iter().any(|one| one == "--keep"), |demo| {
            let _ = std::io::stdout().write_all(demo.text().expose());
        })
    } else {
        let source = crate::app::source(None);
        source.load().map_err(Into::into).and_then(|config| {
            crate::app::serve(source, config, |started| {
                let mut out = std::io::stdout().lock();
                match started.token {
                    crate::app::FirstToken::New { text, .. } => {
                        let _ = out.write_all(text.expose());
                        let _ = out.write_all(b"\n");
                    }
                    crate::app::FirstToken::Earlier(kept) => {
                        tracing::info!("the token printed at the first start still holds ({kept:?})")
                    }
                    crate::app::FirstToken::NotOurs => {}
                }
                tracing::info!("listening on {} and {}", started.data, started.admin);
            })
        })
    };
    if let Err(trouble) = result {
        let _ = writeln!(std::io::stderr(), "{trouble}");
        std::process::exit(1)
    }
}
