//! The program from outside: what people type, what they get, and what every kind of bad input is answered.

mod bad_input;
mod bench;
mod chat;
mod common;
mod end_to_end;
mod governance;
mod interruption;
mod py;
mod runs;
mod serve;
mod train_push;
mod train_take;
mod weights;
mod weights_agents;
mod weights_simulate;
