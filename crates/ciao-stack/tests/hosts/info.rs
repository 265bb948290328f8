//! What the trace tells of a connection, unasked and when asked.

use crate::pair::{B4, B6, Pair};
use ciao_stack::{HostConfig, HostTraceEvent, Tracing};
use ciao_tcp::{TcpInfo, TcpState, TraceEvent};

/// What B's trace has told since it was last looked at.
fn told(pair: &mut Pair) -> Vec<TcpInfo> {
    let records = pair.b.host.drain_trace();
    records
        .filter_map(|record| match record.event {
            HostTraceEvent::Tcp(TraceEvent::Info(info)) => Some(*info),
            _ => None,
        })
        .collect()
}

#[test]
fn each_change_of_the_state_is_followed_by_all_that_is_to_know() {
    for remote in [B4, B6] {
        let traced = HostConfig { trace: Tracing::On, ..HostConfig::default() };
        let mut pair = Pair::with(HostConfig::default(), traced, Pair::offload());
        let (client, server) = pair.connected(remote, 80);
        let infos = told(&mut pair);
        let last = infos.last().expect("the state has changed");
        assert_eq!((last.state, last.pmtu), (TcpState::Established, 1500));
        pair.a.host.tcp_shutdown(pair.now, client);
        pair.flow();
        assert_eq!(told(&mut pair).last().expect("it has changed again").state, TcpState::CloseWait);
        assert!(told(&mut pair).is_empty());
        pair.b.host.tcp_record_info(pair.now, server);
        let asked = told(&mut pair);
        assert_eq!(asked, [pair.b.host.tcp_info(pair.now, server)]);
    }
}
