//! What holds for README, ARCHITECTURE, CONTRIBUTING and CHANGELOG? They are short, and what they name
//! exists.

use crate::{Finding, TextFile, Tree};

/// Each document with the most lines that it may have.
const LENGTHS: [(&str, usize); 4] =
    [("README.md", 220), ("ARCHITECTURE.md", 130), ("CONTRIBUTING.md", 130), ("CHANGELOG.md", 400)];
/// The headings of a release in CHANGELOG.
const CHANGES: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
/// Commands of cargo that are not ours.
const CARGO: [&str; 10] =
    ["add", "bench", "build", "check", "deny", "doc", "fmt", "install", "nextest", "test"];

/// Documents that are missing or have grown too long.
#[must_use]
pub fn missing_or_long(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, most) in LENGTHS {
        match tree.file(path).map(|file| file.text.lines().count()) {
            None => findings.push(Finding::new(path, 1, "missing")),
            Some(lines) if lines > most => {
                findings.push(Finding::new(path, most, format!("{lines} lines, {most} is the end; cut it")));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Links and paths in Markdown that lead nowhere.
#[must_use]
pub fn dead_links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| file.path.ends_with(".md")) {
        let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (number, line) in file.lines() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let target = target.trim();
                let path =
                    if directory.is_empty() { target.to_owned() } else { format!("{directory}/{target}") };
                if !target.is_empty() && !target.contains("://") && !tree.has(&resolved(&path)) {
                    findings.push(Finding::new(&file.path, number, format!("`{target}` leads nowhere")));
                }
            }
            for path in line.split('`').skip(1).step_by(2).filter(|code| is_path(code)) {
                if !tree.has(path) {
                    findings.push(Finding::new(&file.path, number, format!("`{path}` is not tracked")));
                }
            }
        }
    }
    findings
}

/// Commands in README and CONTRIBUTING that do not exist: scripts, cargo aliases, subcommands of `ciao`.
#[must_use]
pub fn dead_commands(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in ["README.md", "CONTRIBUTING.md"].iter().filter_map(|path| tree.file(path)) {
        for (number, line) in commands(file) {
            for command in line.split("&&").map(str::trim) {
                if let Some(reason) = refuse(tree, command) {
                    findings.push(Finding::new(&file.path, number, format!("`{command}`: {reason}")));
                }
            }
        }
    }
    findings
}

/// Crates that the table of ARCHITECTURE does not name.
#[must_use]
pub fn unmentioned_crates(tree: &Tree) -> Vec<Finding> {
    let Some(architecture) = tree.file("ARCHITECTURE.md") else { return Vec::new() };
    let manifests = tree.files().filter(|file| file.name() == "Cargo.toml");
    let names = manifests.filter_map(|file| file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"));
    names
        .filter(|name| !architecture.text.contains(&format!("| `{name}` |")))
        .map(|name| Finding::new(&architecture.path, 1, format!("the table of crates lacks `{name}`")))
        .collect()
}

/// CHANGELOG: a title, `## ` for each release with known `### ` headings, and entries as list items.
#[must_use]
pub fn changelog_format(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file("CHANGELOG.md") else { return Vec::new() };
    let mut findings = Vec::new();
    let mut releases = 0;
    for (number, line) in file.lines() {
        let fault = if number == 1 {
            (line != "# Changelog").then_some("the title is `# Changelog`")
        } else if let Some(release) = line.strip_prefix("## ") {
            releases += 1;
            let dated = release.len() > 10 && release.contains(" - 20");
            (releases == 1 && release != "Unreleased" || releases > 1 && !dated)
                .then_some("first `## Unreleased`, then `## 1.2.3 - 2027-01-31`")
        } else if let Some(kind) = line.strip_prefix("### ") {
            (!CHANGES.contains(&kind))
                .then_some("one of Added, Changed, Deprecated, Removed, Fixed, Security")
        } else {
            let item = line.is_empty() || line.starts_with("- ") || line.starts_with("  ");
            (releases > 0 && !item).then_some("an entry is a list item, `- `")
        };
        findings.extend(fault.map(|fault| Finding::new(&file.path, number, fault)));
    }
    if releases == 0 {
        findings.push(Finding::new(&file.path, 1, "there is no `## Unreleased`"));
    }
    findings
}

/// Lines of the code blocks marked `sh`, without prompt and comment.
fn commands(file: &TextFile) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut commands = Vec::new();
    for (number, line) in file.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            let command = line.split(" #").next().unwrap_or(line).trim();
            if !command.is_empty() && !command.starts_with('#') {
                commands.push((number, command));
            }
        }
    }
    commands
}

/// Why a command cannot be run, when it is one of ours.
fn refuse(tree: &Tree, command: &str) -> Option<String> {
    let mut words = command.split_whitespace().skip_while(|word| *word == "sudo" || word.contains('='));
    let program = words.next()?;
    if program == "cargo" {
        let name = words.next()?;
        let config = tree.file(".cargo/config.toml").map_or("", |file| file.text.as_str());
        let alias = config.lines().any(|line| line.starts_with(&format!("{name} = ")));
        if name == "run" {
            let sources = if words.clone().any(|word| word == "ciao-bench") { BENCH } else { COMMAND };
            let subcommand = words.skip_while(|word| *word != "--").nth(1);
            return subcommand.and_then(|subcommand| refuse_subcommand(tree, sources, subcommand));
        }
        (!alias && !CARGO.contains(&name)).then(|| "cargo has no such command and no such alias".to_owned())
    } else if program.ends_with("/ciao") || program == "ciao" {
        words.next().and_then(|subcommand| refuse_subcommand(tree, COMMAND, subcommand))
    } else if program.contains('/') {
        let script = tree.file(program.trim_start_matches("./"));
        (!script.is_some_and(|script| script.executable))
            .then(|| "no executable file of that name".to_owned())
    } else {
        None
    }
}

/// Where the subcommands of `ciao` have their files.
const COMMAND: &str = "crates/ciao-cli/src";
/// Where those of `ciao-bench` have theirs.
const BENCH: &str = "bench/src";

fn refuse_subcommand(tree: &Tree, sources: &str, subcommand: &str) -> Option<String> {
    let file = format!("{sources}/{subcommand}.rs");
    (!subcommand.starts_with('-') && !tree.has(&file)).then(|| format!("there is no {file}"))
}

/// Whether a word in back quotes is a path of ours.
fn is_path(code: &str) -> bool {
    let ours = ["crates/", "docs/", "scripts/", "bench/", "interop/", ".ci/", ".githooks/", ".cargo/"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    ours.iter().any(|start| code.starts_with(start)) && code.chars().all(plain)
}

/// `docs/../a` to `a`.
fn resolved(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_document_and_a_long_one_are_found() {
        let long = "x\n".repeat(500);
        let tree = Tree::planted(&[("README.md", &long), ("CHANGELOG.md", ""), ("CONTRIBUTING.md", "")]);
        let paths: Vec<String> = missing_or_long(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["README.md", "ARCHITECTURE.md"]);
    }

    #[test]
    fn a_link_to_nothing_is_found_from_wherever_it_stands() {
        let tree = Tree::planted(&[
            ("docs/a.md", "[x](../README.md) [y](b.md) `crates/none/src` [z](https://example.com)"),
            ("README.md", "[x](docs/a.md#part) `docs/a.md`"),
        ]);
        let messages: Vec<String> = dead_links(&tree).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages, ["`b.md` leads nowhere", "`crates/none/src` is not tracked"]);
    }

    #[test]
    fn a_command_that_does_not_exist_is_found() {
        let commands = [
            "cargo run --release -- demo",
            "cargo tidy",
            "cargo dance",
            "scripts/none",
            "sudo ciao serve DIR",
            "cargo run --release -p ciao-bench -- lossy",
        ];
        let readme = format!("```sh\n{}\n```\n", commands.join("\n"));
        let tree = Tree::planted(&[
            ("README.md", &readme),
            (".cargo/config.toml", "[alias]\ntidy = \"test\"\n"),
            ("crates/ciao-cli/src/demo.rs", ""),
            ("bench/src/lossy.rs", ""),
        ]);
        let lines: Vec<usize> = dead_commands(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 5, 6]);
    }

    #[test]
    fn a_crate_that_architecture_does_not_name_is_found() {
        let tree = Tree::planted(&[
            ("ARCHITECTURE.md", "| `ciao-a` | one sentence |"),
            ("crates/ciao-a/Cargo.toml", ""),
            ("crates/ciao-b/Cargo.toml", ""),
        ]);
        let messages: Vec<String> =
            unmentioned_crates(&tree).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages, ["the table of crates lacks `ciao-b`"]);
    }

    #[test]
    fn a_changelog_with_an_unknown_heading_is_found() {
        let text = "# Changelog\n\n## Unreleased\n\n### Added\n\n- A.\n\n### Fun\n\nProse.\n\n## 1.0\n";
        let found = changelog_format(&Tree::planted(&[("CHANGELOG.md", text)]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [9, 11, 13]);
    }
}
