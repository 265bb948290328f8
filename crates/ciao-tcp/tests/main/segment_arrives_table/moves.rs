//! Which moves between states do segments cause? Those of the diagram (`next_state`, `docs/states.svg`)
//! with a segment for their cause, all of them and no others.

use super::specification::Arriving;
use super::subjects::{End, Subject, row_segment};
use super::{Acknowledges, Place, URGENT, states, variants};
use ciao_tcp::state::next_state;
use ciao_tcp::{Cause, TcpState, TraceEvent, Tracing};
use ciao_wire::TcpFlags;
use std::collections::BTreeSet;

type Move = (TcpState, Cause, TcpState);

/// Whether a segment alone is the cause: what the application does, and timers, are not in the table.
fn is_of_a_segment(cause: Cause) -> bool {
    match cause {
        Cause::SynReceived
        | Cause::SynAckReceived
        | Cause::SynAcknowledged
        | Cause::FinReceived
        | Cause::FinAcknowledged
        | Cause::ResetReceived
        | Cause::TimeWaitReused => true,
        Cause::PassiveOpen
        | Cause::ActiveOpen
        | Cause::CloseCalled
        | Cause::Aborted
        | Cause::TimedOut
        | Cause::Unreachable
        | Cause::OrphanExpired
        | Cause::TimeWaitExpired => false,
    }
}

/// The moves that follow from a segment. A connection records them; those of a listener and of a record in
/// TIME-WAIT are the host's, and can be seen by the answer.
fn moves(subject: &Subject, arriving: &Arriving) -> Vec<Move> {
    let before = subject.situation.state;
    let after = subject.observe(arriving).state;
    match (&subject.end, before, after) {
        (End::Listener, _, TcpState::SynReceived) => vec![(before, Cause::SynReceived, after)],
        (_, TcpState::TimeWait, TcpState::SynReceived) => {
            vec![(before, Cause::TimeWaitReused, TcpState::Closed)]
        }
        (End::Connection(connection), ..) => {
            let mut connection = (**connection).clone();
            connection.set_trace(Tracing::On);
            connection.handle_segment(subject.now, row_segment(arriving));
            let recorded = connection.drain_trace().filter_map(|event| match event {
                TraceEvent::StateChanged { from, to, cause } => Some((from, cause, to)),
                _ => None,
            });
            recorded.filter(|(_, cause, _)| is_of_a_segment(*cause)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn segments_cause_all_moves_of_the_picture_and_no_others() {
    let mut seen: BTreeSet<Move> = BTreeSet::new();
    for subject in states().into_iter().chain(variants()) {
        let seq = Place::AtLeftEdge.seq(&subject.situation);
        for flags in (0..=u8::MAX).map(TcpFlags) {
            for acknowledges in Acknowledges::ALL {
                let ack = acknowledges.ack(&subject.situation);
                let arriving = Arriving { flags, seq, ack, up: URGENT, text: 0 };
                seen.extend(moves(&subject, &arriving));
            }
        }
    }
    let drawn: BTreeSet<Move> = TcpState::ALL
        .into_iter()
        .flat_map(|from| Cause::ALL.map(|cause| (from, cause)))
        .filter(|(_, cause)| is_of_a_segment(*cause))
        .filter_map(|(from, cause)| Some((from, cause, next_state(from, cause)?)))
        .collect();
    assert_eq!(seen, drawn);
}
