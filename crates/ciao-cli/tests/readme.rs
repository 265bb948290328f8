//! Does the README show what `ciao demo` prints? The handshake and the table between the marks
//! `<!-- handshake -->` and `<!-- comparison -->` are compared; `CIAO_BLESS=1` writes them anew.

use std::{fs, path::Path, process::Command};

/// What the demo prints when it is not asked for a scene.
fn demo() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ciao"))
        .arg("demo")
        .env("NO_COLOR", "1")
        .output()
        .expect("the command was built for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the demo prints UTF-8")
}

/// The lines of `text` from the first that `begins` to the last before the one that `ends`.
fn part(text: &str, begins: &str, ends: impl Fn(&str) -> bool) -> String {
    let lines = text.lines().skip_while(|line| !line.contains(begins));
    let part: Vec<&str> = lines.take_while(|line| !ends(line)).map(str::trim_end).collect();
    assert!(part.len() > 5, "`{begins}` is not in what the demo prints");
    format!("{}\n", part.join("\n"))
}

/// `readme` with `shown` in the code block behind the mark of that name.
fn with(readme: &str, name: &str, shown: &str) -> String {
    let mark = format!("<!-- {name} -->\n```text\n");
    let (before, rest) = readme.split_once(&mark).unwrap_or_else(|| panic!("README.md lacks {mark}"));
    let (_, after) = rest.split_once("```\n").expect("the block ends");
    format!("{before}{mark}{shown}```\n{after}")
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(&path).expect("README.md is there");
    let printed = demo();
    let handshake = part(&printed, " client 10.", |line| line.contains("FIN"));
    let comparison = part(&printed, "┌", str::is_empty);
    let current = with(&with(&readme, "handshake", &handshake), "comparison", &comparison);
    if std::env::var_os("CIAO_BLESS").is_some() {
        fs::write(&path, &current).expect("README.md can be written");
    } else {
        assert!(current == readme, "CIAO_BLESS=1 cargo test -p ciao-cli --test readme writes README.md anew");
    }
}
