//! Starts children from one thread that lives as long as the process.
//!
//! The kernel kills a child marked with PR_SET_PDEATHSIG when the *thread* that made it
//! ends, so it must not be one of the runtime's blocking threads, which come and go.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc;

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();

/// Starts `command` so that the kernel kills it when this process dies, however it dies.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    die_with_parent(&mut command);
    let (reply, answer) = oneshot::channel();
    let order = Order {
        command,
        runtime: Handle::current(),
        reply,
    };
    let gone = || io::Error::other("the thread that starts programs has ended");
    spawner().send(order).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn spawner() -> &'static mpsc::Sender<Order> {
    SPAWNER.get_or_init(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        let run = move || {
            for mut order in queue {
                let _inside = order.runtime.enter();
                // A caller that left drops the child, which kills it.
                let _left = order.reply.send(order.command.spawn());
            }
        };
        // Without the thread each order is answered by a closed channel.
        let _cannot_start = std::thread::Builder::new()
            .name("spawner".into())
            .spawn(run);
        orders
    })
}

fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let mark = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the mark was set.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::SRCH.raw_os_error(),
            ));
        }
        Ok(())
    };
    // SAFETY: between fork and exec only two system calls are made, prctl and getppid; nothing
    // is allocated, locked or shared. There is no safe way: the mark does not survive a fork,
    // so the child must set it itself, and a program in between is one more to install.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(mark);
    }
}
