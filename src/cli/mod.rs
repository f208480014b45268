//! TEMPORARY
pub fn run() {
    let source = crate::app::source(None);
    let config = match source.load() {
        Ok(c) => c,
        Err(p) => {
            eprintln!("{p}");
            std::process::exit(1)
        }
    };
    if let Err(t) = crate::app::serve(source, config, |a| tracing::info!("listening on {a}")) {
        eprintln!("{t}");
        std::process::exit(1)
    }
}
