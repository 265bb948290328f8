//! `ciao demo`: two hosts in virtual time, and every segment between them drawn.
//!
//! | question | file |
//! |---|---|
//! | Which hosts, which link, and what is recorded of them? | `demo/stage.rs` |
//! | The same resources by three versions of HTTP | `demo/versions.rs` |
//! | The ways to close | `demo/close.rs` |
//! | Why a handshake takes three segments | `demo/why_three.rs`, `demo/believer.rs` |
//! | Why the end that closed first waits | `demo/why_time_wait.rs` |
//! | How are scenes printed? | `demo/show.rs` |
//!
//! Not here: how a ladder is drawn (`ciao-inspect`), what a link does to a packet (`ciao-sim`).

mod believer;
mod close;
mod show;
mod stage;
mod versions;
mod why_three;
mod why_time_wait;

use std::{path::PathBuf, time::Duration};

use ciao_http::client::HttpVersion;
use ciao_inspect::{comparison::Totals, history::Connection};

use crate::exit;
use stage::Records;

/// Watch whole connections, from the first SYN to the end of 2 MSL
///
/// Two hosts, client and server, on a simulated link in virtual time: nothing leaves this program, no right
/// is wanted, and it takes no time. The same options draw the same picture, to the byte.
///
/// Without --scene the same three resources are fetched by HTTP/1.0, HTTP/1.1 and HTTP/2, and a table
/// compares the three.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Demo {
    /// What to show; may be given several times
    #[arg(long, value_enum, value_name = "SCENE")]
    scene: Vec<SceneName>,

    #[command(flatten)]
    conditions: Conditions,

    /// Write the packets, as the client saw them, to this file, for Wireshark (pcapng); with several scenes
    /// one file for each, with the scene's name in its name
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Print JSON instead of ladders
    #[arg(long)]
    json: bool,
}

/// The link, and the chance on it.
#[derive(Clone, Debug, clap::Args)]
struct Conditions {
    /// Round-trip time of the link, in milliseconds
    #[arg(long, value_name = "MS", default_value = "20", value_parser = parse_rtt)]
    rtt: Duration,

    /// Packets that get lost, in per cent, each way
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parse_loss)]
    loss: Loss,

    /// Bits a second, each way, such as 500k, 10M or 1G; without it the link has no limit
    #[arg(long, value_name = "BITS", value_parser = parse_bandwidth)]
    bandwidth: Option<u64>,

    /// All chance is drawn from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// A share in parts per million.
#[derive(Clone, Copy, Debug)]
struct Loss(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SceneName {
    /// Three resources by HTTP/1.0: a connection for each request
    #[value(name = "http1.0")]
    Http10,
    /// The same by HTTP/1.1: one connection, in turn
    #[value(name = "http1.1")]
    Http11,
    /// The same by HTTP/2: one connection, at once
    #[value(name = "http2")]
    Http2,
    /// Four ways to close, and a reset
    Close,
    /// An old, delayed SYN, and what it does with a handshake of three segments and with one of two
    WhyThree,
    /// A lost last ACK, and an old segment that meets a later connection
    WhyTimeWait,
}

impl SceneName {
    /// What is shown when nothing is asked for.
    const DEFAULT: [Self; 3] = [Self::Http10, Self::Http11, Self::Http2];

    fn name(self) -> &'static str {
        match self {
            Self::Http10 => "http1.0",
            Self::Http11 => "http1.1",
            Self::Http2 => "http2",
            Self::Close => "close",
            Self::WhyThree => "why-three",
            Self::WhyTimeWait => "why-time-wait",
        }
    }

    fn play(self, conditions: &Conditions) -> anyhow::Result<Scene> {
        match self {
            Self::Http10 => versions::play(conditions, HttpVersion::Http10),
            Self::Http11 => versions::play(conditions, HttpVersion::Http11),
            Self::Http2 => versions::play(conditions, HttpVersion::Http2),
            Self::Close => close::play(conditions),
            Self::WhyThree => why_three::play(conditions),
            Self::WhyTimeWait => why_time_wait::play(conditions),
        }
    }
}

/// What is to be shown.
struct Scene {
    title: String,
    acts: Vec<Act>,
    /// What was really sent, for the capture; counterfactuals are not in it.
    records: Records,
    /// In the comparison, for the versions of HTTP.
    compared: Option<(&'static str, Totals)>,
}

/// A part of a scene.
struct Act {
    heading: String,
    /// Paragraphs before the ladders.
    before: Vec<String>,
    connections: Vec<Connection>,
    /// Paragraphs after them.
    after: Vec<String>,
}

impl Act {
    fn new(heading: &str, before: &str) -> Self {
        let before = vec![before.to_owned()];
        Self { heading: heading.to_owned(), before, connections: Vec::new(), after: Vec::new() }
    }
}

impl Demo {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let names = if self.scene.is_empty() { &SceneName::DEFAULT[..] } else { &self.scene };
        let mut scenes = Vec::new();
        for &name in names {
            let scene = name.play(&self.conditions)?;
            if let Some(file) = &self.pcap {
                let file = if names.len() == 1 { file.clone() } else { show::named(file, name.name()) };
                scene.records.write(&file)?;
            }
            scenes.push((name.name(), scene));
        }
        if self.json { show::json(&scenes) } else { show::text(&scenes) }
    }
}

fn parse_rtt(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches("ms").trim();
    match number.parse::<f64>() {
        Ok(milliseconds) if (0.0..=60_000.0).contains(&milliseconds) => {
            Ok(Duration::from_secs_f64(milliseconds / 1000.0))
        }
        _ => Err("a number of milliseconds from 0 to 60000 is wanted".to_owned()),
    }
}

fn parse_loss(text: &str) -> Result<Loss, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked: at most 500,000"
        )]
        Ok(percent) if (0.0..=50.0).contains(&percent) => Ok(Loss((percent * 10_000.0).round() as u32)),
        _ => Err("a number of per cent from 0 to 50 is wanted".to_owned()),
    }
}

fn parse_bandwidth(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.trim_end_matches("bit/s").trim().to_ascii_lowercase() {
        text if text.ends_with('k') => (text, 1_000),
        text if text.ends_with('m') => (text, 1_000_000),
        text if text.ends_with('g') => (text, 1_000_000_000),
        text => (text, 1),
    };
    let bits = number.trim_end_matches(['k', 'm', 'g']).trim().parse::<u64>().ok();
    bits.and_then(|bits| bits.checked_mul(factor)).filter(|bits| *bits >= 1000).ok_or_else(|| {
        "a whole number of bits a second is wanted, 1k or more, such as 500k or 10M".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> Conditions {
        Conditions { rtt: Duration::from_millis(20), loss: Loss(0), bandwidth: None, seed: 1 }
    }

    #[test]
    fn conditions_take_the_units_that_people_write() {
        assert_eq!(parse_rtt("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(parse_rtt("0.5"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_loss("2%").unwrap().0, 20_000);
        assert_eq!(parse_bandwidth("10M"), Ok(10_000_000));
        assert_eq!(parse_bandwidth("64 kbit/s"), Ok(64_000));
        assert!(parse_rtt("-1").is_err() && parse_loss("51").is_err() && parse_bandwidth("fast").is_err());
    }

    fn drawn(name: SceneName, conditions: &Conditions) -> String {
        show::page(&[(name.name(), name.play(conditions).unwrap())]).plain()
    }

    #[test]
    fn each_scene_is_drawn_as_it_was_looked_at() {
        for name in <SceneName as clap::ValueEnum>::value_variants() {
            insta::assert_snapshot!(format!("demo-{}", name.name()), drawn(*name, &conditions()));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_picture_and_another_one_another() {
        let lossy = |seed| Conditions { loss: Loss(100_000), seed, ..conditions() };
        let one = drawn(SceneName::Http10, &lossy(7));
        assert_eq!(one, drawn(SceneName::Http10, &lossy(7)));
        assert_ne!(one, drawn(SceneName::Http10, &lossy(8)));
    }
}
