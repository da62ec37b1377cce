//! Flows of small shell stages, run, broken, killed and replayed.

#[cfg(unix)]
mod bench;
#[cfg(unix)]
mod caching;
#[cfg(unix)]
mod failing;
#[cfg(unix)]
mod killing;
#[cfg(unix)]
mod recording;
#[cfg(unix)]
mod replaying;
