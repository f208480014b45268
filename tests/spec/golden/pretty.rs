//! JSON for people to read: the same bytes, with line ends and spaces between its tokens.

pub(super) fn pretty(json: &[u8]) -> String {
    let (mut out, mut depth, mut in_string, mut is_escaped) = (Vec::new(), 0, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    };
    for (at, byte) in json.iter().enumerate() {
        if in_string {
            out.push(*byte);
            in_string = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(*byte);
                if !matches!(json.get(at + 1), Some(b'}' | b']')) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(json[at - 1], b'{' | b'[') {
                    depth -= 1;
                    line(&mut out, depth);
                }
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            other => {
                in_string = *other == b'"';
                out.push(*other);
            }
        }
    }
    out.push(b'\n');
    String::from_utf8(out).unwrap()
}
