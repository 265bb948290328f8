//! Do all scripts go as written? Each file below `scripts` is a test of its own, named after its topic and
//! behaviour, and plays under IPv4 and IPv6.
//!
//! How a script is written: `ciao_script`.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut trials = Vec::new();
    for topic in entries(&root)? {
        for file in entries(&topic)? {
            let name = format!("{}::{}", stem(&topic), stem(&file));
            trials.push(Trial::test(name, move || play(&file)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn play(file: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(file)?;
    ciao_script::play(&text).map_err(|failure| format!("{}\n{failure}", file.display()).into())
}
