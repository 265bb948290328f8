//! How much may be sent on each acknowledgment while a loss is repaired? [`Prr`], proportional rate reduction
//! (RFC 9937).
//!
//! Where a tail loss probe finds a loss and nothing else is in flight, RFC 9937 would begin with one segment
//! and double. It sends no more than the path is known to take away; but then nothing of ours is in its
//! queues, and what any path takes from a new connection (RFC 6928) it takes now: as much may go out at once,
//! not above ssthresh. RFC 6675 §5 and QUIC (RFC 9002 §7.3.2, §7.7) allow the same, Linux does not do it.
//!
//! Bytes come in and a window comes out. When an episode begins and ends is decided in `recovery`; an
//! algorithm with a window of its own for that time does without this.

/// What the peer's acknowledgments say about the repair so far (RFC 9937 §5, SafeACK).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// SND.UNA moved on, and nothing more was found lost: there is room to grow.
    Safe,
    /// Anything else: for each byte delivered goes one byte at most.
    Unsafe,
}

/// The state of one episode; the names are those of RFC 9937 §5, in bytes.
///
/// ```
/// use ciao_tcp::recovery::prr::{Progress, Prr};
/// // 20 segments are out when the first is found lost; ssthresh is 14. Three were reported as received.
/// let mut prr = Prr::new(20_000);
/// prr.on_ack(3_000, Progress::Unsafe, 16_000, 14_000, 1_000);
/// // 3 * 14 / 20, rounded up: the window is what is in flight and two segments more
/// assert_eq!(prr.window_bytes(), 18_100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prr {
    prr_delivered: u32,
    prr_out: u32,
    recover_fs: u32,
    /// What may go out at once where nothing is in flight.
    burst: u32,
    cwnd: u32,
}

impl Prr {
    /// An episode begins with RecoverFS `recover_fs_bytes`: what is outstanding, without what was known to
    /// have arrived before the acknowledgment that begins it.
    // RFC 9937 §6.1 9937-1
    #[must_use]
    pub const fn new(recover_fs_bytes: u32) -> Self {
        let recover_fs = if recover_fs_bytes == 0 { 1 } else { recover_fs_bytes };
        Self { prr_delivered: 0, prr_out: 0, recover_fs, burst: 0, cwnd: 0 }
    }

    /// The same where nothing is in flight and no acknowledgment will come by itself: `initial_window_bytes`
    /// may go out at once.
    ///
    /// ```
    /// use ciao_tcp::recovery::prr::{Progress, Prr};
    /// // A probe shows that nine of ten segments are lost; ssthresh is 7.
    /// let mut prr = Prr::new(10_000).on_empty_path(10_000);
    /// prr.on_ack(1_000, Progress::Unsafe, 0, 7_000, 1_000);
    /// assert_eq!(prr.window_bytes(), 7_000);
    /// ```
    #[must_use]
    pub const fn on_empty_path(self, initial_window_bytes: u32) -> Self {
        Self { burst: initial_window_bytes, ..self }
    }

    /// An acknowledgment reports `delivered_bytes` as received, cumulatively or selectively;
    /// `in_flight_bytes` remain. Without any the window stays as it is.
    // RFC 9937 §6.2 9937-2, 9937-3; RFC 9937 §13 9937-6
    pub fn on_ack(
        &mut self,
        delivered_bytes: u32,
        progress: Progress,
        in_flight_bytes: u32,
        ssthresh_bytes: u32,
        smss_bytes: u32,
    ) {
        if delivered_bytes == 0 {
            return;
        }
        self.prr_delivered = self.prr_delivered.saturating_add(delivered_bytes);
        let owed = self.prr_delivered.saturating_sub(self.prr_out);
        let count = if in_flight_bytes > ssthresh_bytes {
            self.proportional_share(ssthresh_bytes)
        } else {
            let growth = if progress == Progress::Safe { smss_bytes } else { 0 };
            (owed.max(delivered_bytes) + growth).min(ssthresh_bytes - in_flight_bytes)
        };
        self.allow(in_flight_bytes, count, ssthresh_bytes, smss_bytes);
    }

    /// A timer showed more to be lost. Nothing was delivered, so what was owed before is all there is, but
    /// one segment, lest nothing be sent that could be acknowledged.
    pub fn on_timer(&mut self, in_flight_bytes: u32, ssthresh_bytes: u32, smss_bytes: u32) {
        let count = if in_flight_bytes > ssthresh_bytes {
            self.proportional_share(ssthresh_bytes)
        } else {
            self.prr_delivered.saturating_sub(self.prr_out).min(ssthresh_bytes - in_flight_bytes)
        };
        self.allow(in_flight_bytes, count.max(smss_bytes), ssthresh_bytes, smss_bytes);
    }

    /// CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out
    // RFC 9937 §6.2 9937-2
    fn proportional_share(&self, ssthresh_bytes: u32) -> u32 {
        let product = u64::from(self.prr_delivered) * u64::from(ssthresh_bytes);
        let share = product.div_ceil(u64::from(self.recover_fs));
        u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.prr_out)
    }

    // RFC 9937 §6.2 9937-4: the first acknowledgment of the episode lets one segment out whatever else holds
    fn allow(&mut self, in_flight_bytes: u32, count: u32, ssthresh_bytes: u32, smss_bytes: u32) {
        let count = if self.prr_out == 0 {
            let least = if count == 0 { smss_bytes } else { count };
            least.max(self.burst.min(ssthresh_bytes))
        } else {
            count
        };
        self.cwnd = in_flight_bytes.saturating_add(count);
    }

    /// So many bytes went out, for the first time or again.
    pub fn on_sent(&mut self, bytes: u32) {
        self.prr_out = self.prr_out.saturating_add(bytes);
    }

    /// cwnd until the next acknowledgment.
    #[must_use]
    pub const fn window_bytes(&self) -> u32 {
        self.cwnd
    }
}
