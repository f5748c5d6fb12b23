//! Everything about the ffmpeg program: what it can do ([`probe`]), its command line
//! ([`args`]), the child process ([`process`]) and what its log means ([`stderr`]).

pub mod args;
pub mod probe;
pub mod process;
mod spawner;
pub mod stderr;

pub use probe::Ffmpeg;
