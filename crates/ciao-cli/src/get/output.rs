//! Where does a body go, and how is its progress shown?

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

/// Bodies of at least so many bytes show their progress; smaller ones are there before an eye could see it.
const LARGE_BYTES: u64 = 1 << 20;

/// One body's way.
pub(super) struct Output {
    name: String,
    sink: Box<dyn Write>,
    received: u64,
    whole: Option<u64>,
    progress: Option<ProgressBar>,
}

/// What becomes of a body without a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithoutFile {
    StandardOutput,
    Counted,
}

impl Output {
    /// Makes the file. `whole` is the body's length as the server declared it.
    pub(super) fn open(
        path: Option<&Path>,
        without: WithoutFile,
        whole: Option<u64>,
    ) -> anyhow::Result<Output> {
        let (name, sink): (String, Box<dyn Write>) = match (path, without) {
            (Some(path), _) => {
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                (path.display().to_string(), Box::new(file))
            }
            (None, WithoutFile::StandardOutput) => ("standard output".to_owned(), Box::new(io::stdout())),
            (None, WithoutFile::Counted) => (String::new(), Box::new(io::sink())),
        };
        let large = whole.is_none_or(|whole| whole >= LARGE_BYTES);
        Ok(Output { name, sink, received: 0, whole, progress: large.then(|| progress(whole)) })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> anyhow::Result<()> {
        self.sink.write_all(data).with_context(|| format!("cannot write {}", self.name))?;
        self.received += data.len() as u64;
        if let Some(progress) = &self.progress {
            progress.set_position(self.received);
        }
        Ok(())
    }

    /// How much arrived, for an error.
    pub(super) fn part(&self) -> String {
        match self.whole {
            Some(whole) => format!("{} of {whole} bytes arrived", self.received),
            None => format!("{} bytes arrived of a body of unknown length", self.received),
        }
    }

    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.sink.flush().with_context(|| format!("cannot write {}", self.name))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.finish_and_clear();
        }
    }
}

/// On the terminal, on nothing else: indicatif looks.
fn progress(whole: Option<u64>) -> ProgressBar {
    let (bar, template) = match whole {
        Some(whole) => {
            (ProgressBar::new(whole), "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template names what indicatif has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_told_with_the_whole() {
        let mut output = Output::open(None, WithoutFile::Counted, Some(10)).unwrap();
        output.write(b"abc").unwrap();
        assert_eq!(output.part(), "3 of 10 bytes arrived");
        let output = Output::open(None, WithoutFile::Counted, None).unwrap();
        assert_eq!(output.part(), "0 bytes arrived of a body of unknown length");
    }
}
