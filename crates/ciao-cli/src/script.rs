//! `ciao script`: scripts in packetdrill's notation, played against Ciao's TCP in virtual time.
//!
//! How a script is written and played is in `ciao-script`, how a ladder is drawn in `ciao-inspect`.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use ciao_inspect::{Vantage, capture, history, ladder};
use ciao_script::{Failure, IpVersion, Performance};
use ciao_wire::Instant;

use crate::{exit, print, recording::OUR_NAME};

/// The ending of a script's name, for those that are looked for in a directory.
const ENDING: &str = "pkt";

/// When the capture begins, in nanoseconds since 1970-01-01: 2000-01-01, so that the same script gives the
/// same file.
const CAPTURE_START_NANOS: u64 = 946_684_800_000_000_000;

/// Play TCP scripts in packetdrill's notation
///
/// The script's lines are one end of a connection, Ciao's TCP is the other. Nothing leaves this program, no
/// right is wanted, and no time passes but the script's. Each script plays under IPv4 and IPv6. It fails on
/// the first segment, call or number that is not as written; then the line, what came instead, and the
/// ladder up to there are printed.
///
/// Examples are in crates/ciao-tcp/tests/scripts.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Script {
    /// Scripts, or directories; in a directory, all files that end in .pkt, however deep
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Play under IPv4 alone
    #[arg(long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Play under IPv6 alone
    #[arg(long)]
    ipv6: bool,

    /// Print the ladder also of scripts that go as written
    #[arg(long)]
    ladder: bool,

    /// Write the packets of the last script that was played to this file, for Wireshark (pcapng)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

impl Script {
    /// Plays all, and fails when one failed.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let files = files(&self.files)?;
        let failed = files.iter().map(|file| self.play(file)).filter(|played| !matches!(played, Ok(true)));
        let failed = failed.collect::<anyhow::Result<Vec<_>>>()?.len();
        if files.len() > 1 {
            print::line(format_args!("{} of {} scripts go as written", files.len() - failed, files.len()));
        }
        match failed {
            0 => Ok(()),
            1 => Err(exit::NotAsWritten("a script does not go as written".to_owned()).into()),
            _ => Err(exit::NotAsWritten(format!("{failed} scripts do not go as written")).into()),
        }
    }

    /// Plays one script under the versions that are asked for, up to the first that fails.
    fn play(&self, file: &Path) -> anyhow::Result<bool> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let script = match ciao_script::parse(&text) {
            Ok(script) => script,
            Err((line, fault)) => {
                print::line(format_args!("FAILED {}:{line}: {fault}", file.display()));
                return Ok(false);
            }
        };
        let wanted = |version| match version {
            IpVersion::V4 => !self.ipv6,
            IpVersion::V6 => !self.ipv4,
        };
        let versions: Vec<IpVersion> =
            script.options.versions.iter().copied().filter(|version| wanted(*version)).collect();
        for version in &versions {
            let performance = ciao_script::perform(&script, *version);
            if let Some(path) = &self.pcap {
                write_capture(path, &performance)?;
            }
            if let Err(failure) = &performance.outcome {
                print_failure(file, failure, &performance);
                return Ok(false);
            }
            if self.ladder {
                print::line(format_args!("{}, {version}", file.display()));
                print_ladder(&performance);
            }
        }
        if versions.is_empty() {
            print::line(format_args!("not played {}: it is for another version of IP", file.display()));
        } else {
            print::line(format_args!("ok {}", file.display()));
        }
        Ok(true)
    }
}

/// The scripts themselves, and those in directories, by name.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
            let mut inside = Vec::new();
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot read {}", path.display()))?.path();
                if entry.is_dir() || entry.extension().is_some_and(|extension| extension == ENDING) {
                    inside.push(entry);
                }
            }
            inside.sort();
            files.extend(self::files(&inside)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn print_failure(file: &Path, failure: &Failure, performance: &Performance) {
    let version = failure.version.map(|version| format!(" ({version})")).unwrap_or_default();
    let (file, message) = (file.display(), &failure.message);
    if failure.line == 0 {
        print::line(format_args!("FAILED {file}: at the end{version}: {message}"));
    } else {
        print::line(format_args!("FAILED {file}:{}{version}: {message}", failure.line));
        print::line(format_args!("    expected: {}", failure.text));
    }
    print_ladder(performance);
}

fn print_ladder(performance: &Performance) {
    let vantage = Vantage { name: OUR_NAME, records: &performance.records };
    let options = ladder::Options {
        explanations: ladder::Explanations::Hidden,
        fold_beyond: usize::MAX,
        origin: Some(performance.start),
        ..ladder::Options::default()
    };
    for connection in history::from_hosts(&[vantage]) {
        print::line(ladder::ladder(&connection, &options).coloured());
    }
}

fn write_capture(path: &Path, performance: &Performance) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let hosts = [Vantage { name: OUR_NAME, records: &performance.records }];
    let out = BufWriter::new(File::create(path).with_context(cannot)?);
    let start_nanos =
        CAPTURE_START_NANOS.saturating_sub(performance.start.since(Instant::ZERO).as_nanos() as u64);
    capture::write(out, &hosts, &hosts, start_nanos).with_context(cannot)?;
    Ok(())
}
