//! What holds for manifests? Versions stand in one place, and each says what it is for.

use crate::{Finding, Tree};

/// Dependencies in the root without a word about what they are for.
#[must_use]
pub fn unexplained_dependencies(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.file("Cargo.toml") else { return Vec::new() };
    let lines = section(&root.text, |name| name == "workspace.dependencies");
    lines
        .filter(|(_, line)| !line.contains("path = ") && !line.contains(" # "))
        .map(|(number, _)| Finding::new("Cargo.toml", number, "say behind it what this dependency is for"))
        .collect()
}

/// Dependencies of a member that do not come from the root.
#[must_use]
pub fn versions_outside_of_the_root(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let members = tree.files().filter(|file| file.path.starts_with("crates/") && file.name() == "Cargo.toml");
    for file in members {
        for (number, line) in section(&file.text, |name| name.ends_with("dependencies")) {
            if !line.contains("workspace = true") {
                let advice = "take it from the root: `name.workspace = true`";
                findings.push(Finding::new(&file.path, number, advice));
            }
        }
    }
    findings
}

/// The lines with content in the sections whose name is wanted.
fn section<'a>(text: &'a str, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = (usize, &'a str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = wanted(name);
            return None;
        }
        (inside && line.contains('=') && !line.starts_with('#')).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let root = "[workspace.dependencies]\na = \"1\" # sums\nb = \"1\"\nc = { path = \"crates/c\" }\n\
                    [profile.dev]\nd = 1\n";
        let found = unexplained_dependencies(&Tree::planted(&[("Cargo.toml", root)]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_version_in_a_member_is_found() {
        let member = "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"1\"\n";
        let found = versions_outside_of_the_root(&Tree::planted(&[("crates/a/Cargo.toml", member)]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
    }
}
