//! A TCP proxy before a server, with which a test breaks the wire: cut, or silent.

use std::net::SocketAddr;

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

    /// Lets new connections through. What was cut stays closed, what was silent stays so.
    pub fn mend(&self) {
        self.state.send_replace(Wire::Passing);
    }
}

async fn accept(listener: TcpListener, port: u16, mut wire: watch::Receiver<Wire>) {
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
            Wire::Passing => {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass(near_in, far_out, wire.clone()));
                tokio::spawn(pass(far_in, near_out, wire.clone()));
            }
        }
    }
}

/// Keeps a connection open without a word.
async fn hold(near: TcpStream, mut wire: watch::Receiver<Wire>) {
    let _ended = wire.wait_for(|wire| *wire == Wire::Cut).await;
    drop(near);
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<Wire>) {
    let mut buffer = vec![0; 16 * 1024];
    // A connection that met another state never passes again.
    wire.mark_unchanged();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            changed = wire.changed() => {
                if changed.is_err() {
                    return;
                }
                let silent = *wire.borrow_and_update() == Wire::Silent;
                if silent {
                    let _ended = wire.wait_for(|wire| *wire == Wire::Cut).await;
                }
                return;
            }
        };
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
