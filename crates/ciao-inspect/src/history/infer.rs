//! Which state is an end in that recorded nothing but its packets, or was seen by its peer alone?
//!
//! The segments tell: each is taken through [`next_state`], so that no move is inferred that the diagram does
//! not have. What an end is sent is taken as arrived when it was seen to arrive or, where that end was not
//! observed, at once.

use super::build::Draft;
use super::{Observed, Side};
use ciao_tcp::state::next_state;
use ciao_tcp::{Cause, TcpState};
use ciao_wire::Instant;

/// What the sender of a segment must have done before: opened, or taken what the segment acknowledges.
pub(super) fn before_sending(draft: &mut Draft, at: Instant, segment: usize) {
    let sent = &draft.connection.segments[segment];
    let (side, flags, ack) = (sent.from, sent.header.flags, sent.ack);
    if flags.syn() && flags.ack() {
        infer(draft, at, side, TcpState::Listen, Cause::SynReceived);
    } else if flags.syn() {
        infer(draft, at, side, TcpState::Closed, Cause::ActiveOpen);
    } else if flags.rst() {
        infer(draft, at, side, TcpState::Closed, Cause::Aborted);
        return;
    }
    if ack.is_some_and(|ack| Some(ack) == draft.fin_end[!side]) {
        infer(draft, at, side, TcpState::Established, Cause::FinReceived);
    }
    if flags.fin() {
        infer(draft, at, side, TcpState::Established, Cause::CloseCalled);
    }
}

/// What follows for a receiver that was not observed: the segment is taken as arrived.
pub(super) fn after_sending(draft: &mut Draft, at: Instant, segment: usize) {
    let receiver = !draft.connection.segments[segment].from;
    if draft.connection.ends[receiver].observed == Observed::FromPeer {
        received(draft, at, segment);
    }
}

/// What follows for a receiver whose packets were observed.
pub(super) fn after_arrival(draft: &mut Draft, at: Instant, segment: usize) {
    received(draft, at, segment);
    let arrived = &draft.connection.segments[segment];
    let (receiver, sender_end) = (!arrived.from, arrived.end());
    if arrived.header.flags.fin() && draft.fin_end[!receiver] == Some(sender_end) {
        infer(draft, at, receiver, TcpState::Established, Cause::FinReceived);
    }
}

fn received(draft: &mut Draft, at: Instant, segment: usize) {
    let arrived = &draft.connection.segments[segment];
    let (receiver, flags, ack) = (!arrived.from, arrived.header.flags, arrived.ack);
    if flags.rst() {
        infer(draft, at, receiver, TcpState::Closed, Cause::ResetReceived);
    } else if flags.syn() && flags.ack() {
        infer(draft, at, receiver, TcpState::Closed, Cause::SynAckReceived);
    } else if flags.syn() && draft.states[receiver] == Some(TcpState::SynSent) {
        infer(draft, at, receiver, TcpState::SynSent, Cause::SynReceived);
    }
    let Some(ack) = ack else { return };
    if ack >= 1 {
        infer(draft, at, receiver, TcpState::Closed, Cause::SynAcknowledged);
    }
    if Some(ack) == draft.fin_end[receiver] {
        infer(draft, at, receiver, TcpState::Closed, Cause::FinAcknowledged);
    }
}

/// Moves `side` if its state is not recorded and the diagram has the move; a first state that nothing tells
/// is `assumed`.
fn infer(draft: &mut Draft, at: Instant, side: Side, assumed: TcpState, cause: Cause) {
    if draft.connection.ends[side].observed == Observed::Traced {
        return;
    }
    let from = draft.states[side].unwrap_or(assumed);
    if let Some(to) = next_state(from, cause) {
        draft.moved(at, side, (from, to, cause));
    }
}
