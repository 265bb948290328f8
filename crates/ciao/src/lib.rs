//! Async sockets on Ciao's own TCP, in the shape of tokio's, and what carries them.
//!
//! A program makes a [`Stack`], over a TUN device or inside a [`Simulation`], and uses [`TcpStream`],
//! [`TcpListener`], [`TcpSocket`] and [`UdpSocket`] as it would use those of `tokio::net`. It is the same
//! code in both: timers are `tokio::time`, tasks are `tokio::spawn`, and whatever works over `AsyncRead`
//! and `AsyncWrite` works over these sockets.
//!
//! ```
//! use ciao::{HostConfig, Simulation};
//! use ciao_sim::LinkConfig;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let simulation = Simulation::new(1);
//! let client = simulation.host("client", HostConfig::default());
//! let server = simulation.host("server", HostConfig::default());
//! simulation.join(&client, &server, LinkConfig::default(), LinkConfig::default());
//! let greeting = simulation.run(async {
//!     let listener = server.listen("10.0.0.2:80").await?;
//!     tokio::spawn(async move {
//!         let (mut stream, _) = listener.accept().await?;
//!         stream.write_all(b"ciao").await
//!     });
//!     let mut stream = client.connect("10.0.0.2:80").await?;
//!     let mut greeting = String::new();
//!     stream.read_to_string(&mut greeting).await?;
//!     std::io::Result::Ok(greeting)
//! });
//! assert_eq!(greeting??, "ciao");
//! // 10 ms each for the SYN, the SYN-ACK, the ACK, and the greeting with the FIN behind it
//! assert_eq!(simulation.now().as_millis(), 40);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | question | file |
//! |---|---|
//! | How is a stack made, asked, and ended? | [`stack`] |
//! | A connection, and its two directions apart | [`tcp_stream`], [`halves`] |
//! | A listener; a socket that is told things first | [`tcp_listener`], [`tcp_socket`] |
//! | Datagrams | [`udp_socket`] |
//! | Which options does a socket have? | `options` |
//! | What does one attempt to read or write answer? | `tcp_io` |
//! | Which `io::Error` is it? | [`error`] |
//! | What happens under the lock, and what follows every call? | `shard` |
//! | Who is woken, and when? | `waiting` |
//! | Who reads the device and fires the timers? | [`driver`], [`link`], `tun` |
//! | How does a program run in virtual time? | [`simulated`] |
//! | Which stack does `TcpStream::connect` mean? | [`current`] |
//!
//! What is not here: TCP itself (`ciao-tcp`), IP and UDP (`ciao-stack`), devices (`ciao-link`), links with
//! delay and loss (`ciao-sim`), HTTP (`ciao-http`).
#![forbid(unsafe_code)]

mod clock;
pub mod current;
pub mod driver;
pub mod error;
pub mod halves;
pub mod link;
mod options;
mod shard;
pub mod simulated;
pub mod stack;
mod tcp_io;
pub mod tcp_listener;
pub mod tcp_socket;
pub mod tcp_stream;
mod tun;
pub mod udp_socket;
mod waiting;

pub use driver::Driver;
pub use error::StackEnd;
pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use link::AsyncLink;
pub use simulated::Simulation;
pub use stack::{ShutdownReport, Stack, StackConfig};
pub use tcp_listener::TcpListener;
pub use tcp_socket::TcpSocket;
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;

pub use ciao_link::{MemoryConfig, memory_pair};
pub use ciao_stack::{
    Cidr, ConnectRequest, FastOpen, HostConfig, ListenRequest, Overflow, Route, SynCookies,
};
pub use tokio::net::{ToSocketAddrs, lookup_host};
