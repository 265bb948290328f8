//! What is drawn for a run.

use crate::shrink::Fault;
use ciao_sim::PacketKind::Any;
use ciao_sim::{Fate, LinkConfig, Random, Rule, TooLong};
use ciao_stack::HostConfig;
use ciao_tcp::Config;
use std::sync::Arc;
use std::time::Duration;

/// Which faults the link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Clean,
    Loss,
    Reordering,
    Duplication,
    Corruption,
    /// A link in the middle takes less than those at the ends, and its router speaks, or not.
    NarrowPath,
    /// Each of them, or not.
    Chaos,
    /// As clean, but one end goes away after its last write.
    LeavesEarly,
}

/// When an application closes its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// After its last write.
    AfterWriting,
    /// When the peer has closed.
    AfterReading,
    /// After its last write, and it reads no more.
    Leave,
}

/// What an application does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApplicationPlan {
    pub(crate) to_send: usize,
    pub(crate) write_max: usize,
    pub(crate) read_max: usize,
    pub(crate) first_read: Duration,
    pub(crate) read_pause: Duration,
    pub(crate) finish: Finish,
}

/// What is drawn for a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) hosts: [HostConfig; 2],
    pub(crate) applications: [ApplicationPlan; 2],
    pub(crate) links: [LinkConfig; 2],
    pub(crate) mtu: u16,
    pub(crate) version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

impl Plan {
    pub(crate) fn draw(seed: u64, profile: Profile) -> Self {
        let random = &mut Random::named(seed, &format!("plan {profile:?}"));
        let version = random.pick(&[Version::V4, Version::V4, Version::V6]);
        let mtu = match version {
            Version::V4 => random.pick(&[576, 1500, 1500]),
            Version::V6 => random.pick(&[1280, 1500]),
        };
        let finishes = match profile {
            Profile::LeavesEarly => [Finish::AfterReading, Finish::Leave],
            _ => random.pick(&[
                [Finish::AfterWriting, Finish::AfterWriting],
                [Finish::AfterWriting, Finish::AfterReading],
                [Finish::AfterReading, Finish::AfterWriting],
            ]),
        };
        Self {
            hosts: [host(random), host(random)],
            applications: finishes.map(|finish| application(random, finish)),
            links: [link(random, profile, (mtu, version)), link(random, profile, (mtu, version))],
            mtu,
            version,
        }
    }

    /// Chance harms these packets and no others.
    pub(crate) fn keep_only(&mut self, faults: &[Fault]) {
        for (side, link) in self.links.iter_mut().enumerate() {
            let mut kept: Vec<u64> =
                faults.iter().filter(|fault| fault.side == side).map(|fault| fault.number).collect();
            kept.sort_unstable();
            let starts = std::iter::once(1).chain(kept.iter().map(|number| number + 1));
            let ends = kept.iter().copied().chain([u64::MAX]);
            link.rules = starts
                .zip(ends)
                .map(|(first, end)| Rule { kind: Any, first, count: end - first, fate: Fate::Deliver })
                .collect();
        }
    }

    /// The peer left, or lost so many packets in a row that giving up is right.
    pub(crate) fn may_fail(&self) -> bool {
        self.links.iter().any(|link| link.loss_ppm + link.corrupt_ppm > 50_000)
    }

    pub(crate) fn may_reset(&self) -> bool {
        self.applications.iter().any(|application| application.finish == Finish::Leave)
    }
}

fn host(random: &mut Random) -> HostConfig {
    let mut mostly = || random.chance(800_000);
    let (window_scaling, timestamps, sack) = (mostly(), mostly(), mostly());
    let mut tcp = Config {
        window_scaling,
        timestamps,
        sack,
        send_buffer_bytes: random.pick(&[3_000, 16_000, 64_000, 262_144]),
        receive_buffer_bytes: random.pick(&[3_000, 16_000, 64_000, 262_144]),
        ..Config::default()
    };
    tcp.socket.nodelay = random.chance(300_000);
    HostConfig { tcp: Arc::new(tcp), ..HostConfig::default() }
}

fn application(random: &mut Random, finish: Finish) -> ApplicationPlan {
    let to_send = random.pick(&[0, 1, 100, 1_000, 6_000, 20_000, 50_000]);
    let read_max = random.pick(&[700, 4_096, 65_536]);
    // A slow reader reads at least 14 kB a second, so that runs stay short.
    let read_pause = Duration::from_millis(random.pick(&[0, 0, 1, 50]));
    ApplicationPlan {
        to_send,
        write_max: random.pick(&[100, 1_460, 10_000, 65_536]).max(to_send / 100),
        read_max,
        first_read: Duration::from_secs(random.pick(&[0, 0, 0, 0, 3, 20])),
        read_pause,
        finish,
    }
}

fn link(random: &mut Random, profile: Profile, (mtu, version): (u16, Version)) -> LinkConfig {
    let delay = Duration::from_micros(random.pick(&[20, 1_000, 10_000, 50_000, 300_000]));
    let mut link = LinkConfig {
        delay,
        bandwidth_bits_per_s: random.pick(&[None, Some(1_000_000), Some(20_000_000)]),
        mtu: usize::from(mtu),
        reorder_delay: delay.max(Duration::from_micros(500)) * random.pick(&[1, 2, 4]),
        duplicate_delay: delay * random.pick(&[0, 1, 3]),
        ..LinkConfig::default()
    };
    let is_chaos = profile == Profile::Chaos;
    let has = |random: &mut Random, own| profile == own || is_chaos && random.chance(500_000);
    let [loss, reordering, duplication, corruption] =
        [Profile::Loss, Profile::Reordering, Profile::Duplication, Profile::Corruption]
            .map(|own| has(random, own));
    if loss {
        link.loss_ppm = random.pick(&[10_000, 50_000, 100_000, 200_000]);
    }
    if reordering {
        link.reorder_ppm = random.pick(&[50_000, 200_000, 500_000]);
    }
    if duplication {
        link.duplicate_ppm = random.pick(&[50_000, 200_000]);
    }
    if corruption {
        link.corrupt_ppm = random.pick(&[10_000, 50_000]);
    }
    if has(random, Profile::NarrowPath) {
        let narrow = match version {
            Version::V4 => random.pick(&[1492, 1400, 1280, 1000, 576]),
            Version::V6 => random.pick(&[1492, 1400, 1280]),
        };
        link.mtu = link.mtu.min(narrow);
        link.too_long = random.pick(&[TooLong::Explained, TooLong::Dropped]);
    }
    if is_chaos && random.chance(300_000) {
        link.queue_bytes = random.pick(&[3_000, 10_000]);
    }
    link
}
