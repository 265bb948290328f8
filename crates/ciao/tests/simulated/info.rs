//! What a connection tells of itself.

use crate::pair::{Pair, server_addr};
use ciao::HostConfig;
use ciao_sim::LinkConfig;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

#[test]
fn both_ends_tell_what_they_have_done_in_linux_words() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        client.write_all(&[7; 10_000]).await.unwrap();
        server.read_exact(&mut [0; 10_000]).await.unwrap();
        server.write_all(b"thanks").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        let info = client.info().unwrap();
        println!("{info}");
        let told = |name| info.value(name).unwrap();
        assert_eq!(told("state"), 1);
        assert_eq!((told("bytes_sent"), told("bytes_acked"), told("bytes_received")), (10_000, 10_000, 6));
        assert_eq!((told("data_segs_out"), told("data_segs_in")), (7, 1));
        assert_eq!((told("unacked"), told("notsent_bytes"), told("delivered")), (0, 0, 7));
        assert_eq!((told("rtt"), told("min_rtt"), told("snd_mss")), (20_000, 20_000, 1448));
        assert_eq!(told("pmtu"), 1500);
        let line = info.to_string();
        for part in [
            "ts sack ",
            " wscale:8,8 rto:",
            " rtt:20/",
            " mss:1448 ",
            " bytes_sent:10000 bytes_acked:10000 bytes_received:6 ",
            " lastsnd:",
            " busy:19ms ",
            " minrtt:20 ",
        ] {
            assert!(line.contains(part), "`{part}` is not in `{line}`");
        }
        let peer = server.info().unwrap();
        assert_eq!((peer.bytes_received, peer.data_segs_in, peer.rcv_mss), (10_000, 7, 1448));
        assert_eq!(peer.value("fun"), None);
    });
}

#[test]
fn options_of_flow_are_remembered_by_sockets_and_streams() {
    let pair = Pair::new();
    pair.run(async {
        let _listener = pair.server.listen(server_addr()).await.unwrap();
        let socket = pair.client.new_socket_v4();
        socket.set_cork(true).unwrap();
        socket.set_notsent_lowat(Some(30_000)).unwrap();
        assert_eq!((socket.cork().unwrap(), socket.notsent_lowat().unwrap()), (true, Some(30_000)));
        let stream = socket.connect(server_addr()).await.unwrap();
        assert_eq!((stream.cork().unwrap(), stream.notsent_lowat().unwrap()), (true, Some(30_000)));
        stream.set_cork(false).unwrap();
        stream.set_notsent_lowat(None).unwrap();
        stream.set_recv_lowat(Some(10)).unwrap();
        assert_eq!((stream.cork().unwrap(), stream.notsent_lowat().unwrap()), (false, None));
        assert_eq!(stream.recv_lowat().unwrap(), Some(10));
    });
}

#[test]
fn a_writer_with_a_mark_sends_all_and_is_never_far_ahead() {
    let link = LinkConfig { bandwidth_bits_per_s: Some(20_000_000), ..LinkConfig::default() };
    let pair = Pair::with(1, &HostConfig::default(), &link);
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        client.set_notsent_lowat(Some(16_384)).unwrap();
        let writing = async {
            for _ in 0..250 {
                client.write_all(&[7; 8_000]).await.unwrap();
                assert!(client.info().unwrap().notsent_bytes < 16_384 + 65_536);
            }
            client.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(biased; writing, server.read_to_end(&mut received));
        assert_eq!(read.unwrap(), 2_000_000);
    });
}

#[test]
fn a_reader_with_a_mark_is_woken_when_enough_has_come() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, server) = pair.connected().await;
        server.set_recv_lowat(Some(3_000)).unwrap();
        let writing = async {
            for _ in 0..3 {
                client.write_all(&[7; 1_000]).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        };
        let reading = async {
            server.readable().await.unwrap();
            assert_eq!(server.try_read(&mut [0; 5_000]).unwrap(), 3_000);
        };
        tokio::join!(biased; writing, reading);
    });
}

#[test]
fn time_is_told_apart_by_what_held_the_sender_back() {
    let pair = Pair::new();
    pair.run(async {
        let (mut client, mut server) = pair.connected().await;
        let writing = async {
            client.write_all(&[7; 1 << 20]).await.unwrap();
        };
        let reading = async {
            // The window fills in the meantime.
            sleep(Duration::from_secs(3)).await;
            server.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
        };
        tokio::join!(biased; writing, reading);
        sleep(Duration::from_secs(1)).await;
        let info = client.info().unwrap();
        println!("{info}");
        let seconds = |time: Duration| time.as_secs_f64();
        assert!((3.0..3.9).contains(&seconds(info.busy_time)), "{:?}", info.busy_time);
        assert!((2.6..3.0).contains(&seconds(info.rwnd_limited)), "{:?}", info.rwnd_limited);
        assert!(info.last_data_sent >= Duration::from_millis(900), "{:?}", info.last_data_sent);
    });
}
