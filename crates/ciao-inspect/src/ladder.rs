//! How does a connection look as text: two lanes, time downwards, the state of each end at every step?
//!
//! Three steps: [`rows`] puts the events in lines, [`fold`] shortens long runs of data, [`draw`] sets them in
//! columns. What is said beside the opening and the closing is derived from the events in [`explain`].
//! [`arrow`] draws one segment, [`notes`] what stands under it.

mod arrow;
mod draw;
mod explain;
mod fold;
mod notes;
mod rows;

use crate::history::Connection;
use crate::page::Page;
use ciao_wire::Instant;

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns of the page, 80 or more. 120. With fewer, columns of numbers are left out.
    pub width: usize,
    /// Runs of more rows than this, with data and acknowledgments alone, become one row. 4.
    pub fold_beyond: usize,
    /// What is said beside the opening and the closing.
    pub explanations: Explanations,
    /// The moment that is shown as zero; `None` for the connection's start.
    pub origin: Option<Instant>,
}

/// Whether a ladder explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explanations {
    /// What each side knows, which direction is shut, why TIME-WAIT waits.
    Shown,
    /// The segments alone.
    Hidden,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 120, fold_beyond: 4, explanations: Explanations::Shown, origin: None }
    }
}

/// Draws a connection.
#[must_use]
pub fn ladder(connection: &Connection, options: &Options) -> Page {
    let rows = rows::rows(connection);
    let rows = fold::fold(connection, rows, options.fold_beyond);
    draw::draw(connection, &rows, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{A, F, P, R, S, Story};
    use crate::history::{Side, Vantage, from_hosts};
    use ciao_stack::HostDropReason;
    use ciao_tcp::{Cause, DropReason, Timer, Transmission};

    fn opening_request_and_close() -> Connection {
        let mut story = Story::default();
        story.opens();
        let request = b"GET /index.html HTTP/1.1\r\nHost: server\r\n\r\n";
        let asked = u32::try_from(request.len()).unwrap() + 1;
        story.passes(Side::Left, 20, P | A, (1, 1), request);
        story.passes(Side::Right, 30, A, (1, asked), b"");
        let response =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\nHello, world\n";
        let answered = u32::try_from(response.len()).unwrap() + 1;
        story.passes(Side::Right, 31, P | A, (1, asked), response);
        story.passes(Side::Left, 41, A, (asked, answered), b"");
        story.closes(60, (asked, answered));
        story.connection()
    }

    #[test]
    fn an_opening_a_request_and_a_close() {
        let page = ladder(&opening_request_and_close(), &Options::default());
        insta::assert_snapshot!(page.plain());
    }

    #[test]
    fn a_lost_syn_is_sent_again_by_its_timer() {
        let mut story = Story::default();
        story.opened(Side::Left, 0);
        story.moved(Side::Left, 0, Cause::ActiveOpen);
        story.announces(Side::Left, 0, 0, 1, Transmission::First);
        story.sends(Side::Left, 0, S, (0, 0), b"");
        story.fired(Side::Left, 1_000, Timer::Retransmit);
        story.announces(Side::Left, 1_000, 0, 1, Transmission::TimeoutRetransmission);
        story.passes(Side::Left, 1_000, S, (0, 0), b"");
        story.opened(Side::Right, 1_010);
        story.moved(Side::Right, 1_010, Cause::SynReceived);
        story.passes(Side::Right, 1_010, S | A, (0, 1), b"");
        story.moved(Side::Left, 1_020, Cause::SynAckReceived);
        story.passes(Side::Left, 1_020, A, (1, 1), b"");
        story.moved(Side::Right, 1_030, Cause::SynAcknowledged);
        insta::assert_snapshot!(ladder(&story.connection(), &Options::default()).plain());
    }

    #[test]
    fn both_ends_close_at_once_and_their_segments_cross() {
        let mut story = Story::default();
        story.opens();
        for side in Side::BOTH {
            story.moved(side, 100, Cause::CloseCalled);
            story.passes(side, 100, F | A, (1, 1), b"");
        }
        for side in Side::BOTH {
            story.moved(side, 110, Cause::FinReceived);
            story.passes(side, 110, A, (2, 2), b"");
        }
        for side in Side::BOTH {
            story.moved(side, 120, Cause::FinAcknowledged);
            story.moved(side, 60_120, Cause::TimeWaitExpired);
        }
        insta::assert_snapshot!(ladder(&story.connection(), &Options::default()).plain());
    }

    #[test]
    fn a_long_answer_with_a_loss_is_folded_around_what_matters() {
        let mut story = Story::default();
        story.opens();
        story.passes(Side::Left, 20, P | A, (1, 1), b"GET /photo.jpg HTTP/1.1\r\nHost: server\r\n\r\n");
        let mut response =
            b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 40000\r\n\r\n".to_vec();
        response.resize(response.len() + 40_000, b'x');
        let lost = 20;
        for (index, data) in (0_u32..).zip(response.chunks(1_000)) {
            let (at, seq) = (40 + u64::from(index), index * 1_000 + 1);
            let sent = story.sends(Side::Right, at, A, (seq, 42), data);
            if index != lost {
                story.arrives(sent, at + 10);
                let seen = if index < lost { seq + 1_000 } else { 20_001 };
                story.passes(Side::Left, at + 10, A, (42, seen), b"");
            }
        }
        story.announces(Side::Right, 90, 20_001, 1_000, Transmission::FastRetransmission);
        story.passes(Side::Right, 90, A, (20_001, 42), &response[20_000..21_000]);
        story.passes(Side::Left, 100, A, (42, 40_070), b"");
        let page = ladder(
            &story.connection(),
            &Options { explanations: Explanations::Hidden, ..Options::default() },
        );
        insta::assert_snapshot!(page.plain());
    }

    #[test]
    fn a_segment_that_nobody_sent_and_its_reset() {
        let mut story = Story::default();
        // An old SYN reaches the server; the client knows nothing of it.
        let old = story.sends(Side::Left, 0, S, (0, 0), b"");
        story.forget(Side::Left);
        story.arrives(old, 10);
        story.opened(Side::Right, 10);
        story.moved(Side::Right, 10, Cause::SynReceived);
        story.passes(Side::Right, 10, S | A, (0, 1), b"");
        story.host_drops(Side::Left, 20, HostDropReason::NoConnection);
        story.passes(Side::Left, 20, R, (1, 0), b"");
        story.moved(Side::Right, 30, Cause::ResetReceived);
        insta::assert_snapshot!(ladder(&story.connection(), &Options::default()).plain());
    }

    #[test]
    fn a_second_copy_and_a_dropped_segment_are_shown() {
        let mut story = Story::default();
        story.opens();
        let data = story.sends(Side::Left, 50, P | A, (1, 1), b"hello");
        story.arrives(data, 60);
        story.arrives(data, 65);
        story.dropped(Side::Right, 65, DropReason::Duplicate);
        story.passes(Side::Right, 65, A, (1, 6), b"");
        let page = ladder(&story.connection(), &Options { width: 100, ..Options::default() });
        assert!(page.width() <= 100, "{}", page.plain());
        insta::assert_snapshot!(page.plain());
    }

    #[test]
    fn one_vantage_point_alone_infers_the_other_end() {
        let mut story = Story::default();
        story.opens();
        story.passes(Side::Left, 20, P | A, (1, 1), b"GET / HTTP/1.0\r\n\r\n");
        story.passes(Side::Right, 30, P | A, (1, 19), b"HTTP/1.0 204 No Content\r\n\r\n");
        story.closes(60, (19, 28));
        let [left, _] = story.records();
        let connections = from_hosts(&[Vantage { name: "ciao", records: &left }]);
        insta::assert_snapshot!(ladder(&connections[0], &Options::default()).plain());
    }

    #[test]
    fn what_an_unobserved_end_never_answered_teaches_nothing() {
        let mut story = Story::default();
        story.opened(Side::Left, 0);
        story.moved(Side::Left, 0, Cause::ActiveOpen);
        story.sends(Side::Left, 0, S, (0, 0), b"");
        story.fired(Side::Left, 1_000, Timer::Retransmit);
        story.sends(Side::Left, 1_000, S, (0, 0), b"");
        story.moved(Side::Left, 3_000, Cause::TimedOut);
        let [left, _] = story.records();
        let connections = from_hosts(&[Vantage { name: "ciao", records: &left }]);
        insta::assert_snapshot!(ladder(&connections[0], &Options::default()).plain());
    }

    #[test]
    fn a_refused_call_says_so() {
        let mut story = Story::default();
        story.opened(Side::Left, 0);
        story.moved(Side::Left, 0, Cause::ActiveOpen);
        story.passes(Side::Left, 0, S, (0, 0), b"");
        story.passes(Side::Right, 10, R | A, (0, 1), b"");
        story.moved(Side::Left, 20, Cause::ResetReceived);
        let [left, _] = story.records();
        let connections = from_hosts(&[Vantage { name: "ciao", records: &left }]);
        insta::assert_snapshot!(ladder(&connections[0], &Options::default()).plain());
    }
}
