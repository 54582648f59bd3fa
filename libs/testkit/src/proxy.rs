//! A TCP proxy before a server, with which a test breaks the wire: cut, silent, slow, or full of rubbish.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Passes bytes on until it is told otherwise.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<Wire>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Passing,
    /// Connections stand and take bytes; nothing comes through, nothing comes back.
    Silent,
    /// Connections are closed, new ones too.
    Cut,
    /// Whatever is sent comes so much later, in both directions.
    Slow(Duration),
    /// What the server says comes as something else.
    Rubbish,
}

/// What rubbish is made of, one kind a connection: anything at all; what a protocol may take for a long message (a `DataRow` of
/// PostgreSQL of a gigabyte); lines.
fn rubbish(kind: usize, bytes: &mut [u8]) {
    let mut word = 0x9e37_79b9_7f4a_7c15_u64 ^ kind as u64;
    for (at, byte) in bytes.iter_mut().enumerate() {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        *byte = match kind % 3 {
            0 => word as u8,
            1 => b'D',
            _ => b"MSG x 1 2000000000\r\n"[at % 20],
        };
    }
}

impl Proxy {
    /// A proxy before the server on `port` of loopback.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (state, wire) = watch::channel(Wire::Passing);
        #[allow(
            clippy::disallowed_methods,
            reason = "ends when the proxy is dropped, or with the test's runtime"
        )]
        tokio::spawn(accept(listener, port, wire));
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing comes through, and nobody is told: as if the other machine lost its power.
    pub fn fall_silent(&self) {
        self.state.send_replace(Wire::Silent);
    }

    /// Closes all connections, and each new one.
    pub fn cut(&self) {
        self.state.send_replace(Wire::Cut);
    }

    /// From now on everything comes later by `delay`.
    pub fn slow_down(&self, delay: Duration) {
        self.state.send_replace(Wire::Slow(delay));
    }

    /// From now on the server's words are exchanged for others, and those of connections that begin now.
    pub fn babble(&self) {
        self.state.send_replace(Wire::Rubbish);
    }

    /// Lets new connections through. What was cut stays closed, what was silent stays so, what babbled babbles on.
    pub fn mend(&self) {
        self.state.send_replace(Wire::Passing);
    }
}

async fn accept(listener: TcpListener, port: u16, mut wire: watch::Receiver<Wire>) {
    let mut connections = 0_usize;
    loop {
        let (near, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection"),
            // The proxy is gone.
            Err(_) = wire.changed() => return,
        };
        let now = *wire.borrow();
        #[allow(clippy::disallowed_methods, reason = "ends with its connection")]
        match now {
            Wire::Cut => drop(near),
            Wire::Silent => drop(tokio::spawn(hold(near, wire.clone()))),
            Wire::Passing | Wire::Slow(_) | Wire::Rubbish => {
                connections += 1;
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass(near_in, far_out, wire.clone(), None));
                tokio::spawn(pass(far_in, near_out, wire.clone(), Some(connections)));
            }
        }
    }
}

/// Keeps a connection open without a word.
async fn hold(near: TcpStream, mut wire: watch::Receiver<Wire>) {
    let _ended = wire.wait_for(|wire| *wire == Wire::Cut).await;
    drop(near);
}

/// `kind` of rubbish where it is the server that speaks.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut wire: watch::Receiver<Wire>,
    kind: Option<usize>,
) {
    let mut buffer = vec![0; 16 * 1024];
    wire.mark_unchanged();
    let mut now = *wire.borrow();
    let mut babbles = now == Wire::Rubbish;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            changed = wire.changed() => {
                if changed.is_err() {
                    return;
                }
                now = *wire.borrow_and_update();
                match now {
                    // A connection that was silent never passes again.
                    Wire::Silent => {
                        let _ended = wire.wait_for(|wire| *wire == Wire::Cut).await;
                        return;
                    }
                    Wire::Cut => return,
                    Wire::Rubbish => babbles = true,
                    Wire::Passing | Wire::Slow(_) => {}
                }
                continue;
            }
        };
        if let Wire::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if let (Some(kind), true) = (kind, babbles) {
            rubbish(kind, &mut buffer[..read]);
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
