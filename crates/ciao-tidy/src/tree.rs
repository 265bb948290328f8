//! Which files are looked at: all that git tracks, and for the tests of the rules a few lines made up on the
//! spot.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rust_source::RustSource;

/// One tracked text file.
#[derive(Debug)]
pub struct TextFile {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Whether git has it as executable.
    pub executable: bool,
    /// Its tokens, when it is Rust.
    pub rust: Option<RustSource>,
}

impl TextFile {
    /// The lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The name behind the last `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// All tracked text files.
#[derive(Debug)]
pub struct Tree {
    files: Vec<TextFile>,
}

impl Tree {
    /// The repository that this crate stands in.
    ///
    /// # Panics
    /// When git cannot list it.
    #[must_use]
    pub fn of_repository() -> Self {
        let root = root();
        let listing = Command::new("git")
            .args(["ls-files", "--stage", "-z"])
            .current_dir(&root)
            .output()
            .expect("git is needed to list the tracked files");
        assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
        let listing = String::from_utf8(listing.stdout).expect("paths here are UTF-8");
        let files = listing.split_terminator('\0').filter_map(|entry| {
            let (stage, path) = entry.split_once('\t')?;
            let bytes = std::fs::read(root.join(path)).ok()?;
            Some((path, String::from_utf8(bytes).ok()?, stage.starts_with("100755")))
        });
        Self::of(files)
    }

    /// A tree of made-up files, to show that a rule can fail.
    #[must_use]
    pub fn planted(files: &[(&str, &str)]) -> Self {
        Self::of(files.iter().map(|(path, text)| (*path, (*text).to_owned(), false)))
    }

    fn of<'a>(files: impl Iterator<Item = (&'a str, String, bool)>) -> Self {
        let mut files: Vec<TextFile> = files
            .map(|(path, text, executable)| {
                let rust = path.ends_with(".rs").then(|| RustSource::read(path, &text));
                TextFile { path: path.to_owned(), text, executable, rust }
            })
            .collect();
        let test_modules: Vec<String> = files
            .iter()
            .filter_map(|file| Some((file, file.rust.as_ref()?)))
            .flat_map(|(file, rust)| rust.test_modules.iter().map(|name| module_path(&file.path, name)))
            .collect();
        for file in &mut files {
            if test_modules.contains(&file.path)
                && let Some(rust) = &mut file.rust
            {
                rust.make_test();
            }
        }
        Self { files }
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter()
    }

    /// The Rust files with their tokens.
    pub fn rust(&self) -> impl Iterator<Item = (&TextFile, &RustSource)> {
        self.files.iter().filter_map(|file| Some((file, file.rust.as_ref()?)))
    }

    /// The file at `path`, when git tracks it.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether `path` is a tracked file or a directory of tracked files.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.iter().any(|file| {
            file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate is two directories below the root").to_owned()
}

/// Where `mod name;` in the file at `path` finds its file.
fn module_path(path: &str, name: &str) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let (directory, last) = stem.rsplit_once('/').unwrap_or(("", stem));
    if matches!(last, "lib" | "main" | "mod") {
        format!("{directory}/{name}.rs")
    } else {
        format!("{stem}/{name}.rs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_behind_cfg_test_is_test_code_in_its_own_file() {
        let tree = Tree::planted(&[
            ("crates/a/src/lib.rs", "#[cfg(test)]\nmod script;\nmod real;"),
            ("crates/a/src/script.rs", "fn one() {}"),
            ("crates/a/src/real.rs", "fn two() {}"),
        ]);
        let test_lines =
            |path| tree.file(path).and_then(|file| file.rust.as_ref()).map(|rust| rust.is_test_line(1));
        assert_eq!(test_lines("crates/a/src/script.rs"), Some(true));
        assert_eq!(test_lines("crates/a/src/real.rs"), Some(false));
    }
}
