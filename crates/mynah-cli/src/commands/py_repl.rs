//! `mynah py`: an interactive session, with history, completion and statements over several lines.

use std::cell::RefCell;
use std::io::{BufRead as _, IsTerminal as _};
use std::rc::Rc;

use pyc_driver::{Options, Pushed, Session, on_stack};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};

use crate::failure::{Failure, Result};
use crate::home;

/// Completes the names of a session.
struct Names(Rc<RefCell<Option<Session>>>);

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or(line);
        if before.trim().is_empty() {
            // Tab indents.
            return Ok((at, vec!["    ".to_string()]));
        }
        Ok(match (*self.0.borrow()).as_ref() {
            Some(session) => session.complete(before),
            None => (at, Vec::new()),
        })
    }
}

impl Hinter for Names {
    type Hint = String;
}
impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}

/// Reads and runs statements until the end; ends the process with the session's exit code.
pub fn run(options: Options) -> Result<()> {
    let code = on_stack(move || {
        let session = Session::new(options);
        if std::io::stdin().is_terminal() { interactive(session) } else { from_pipe(session) }
    });
    let code = code.map_err(|e| Failure::new(e.to_string()))??;
    std::process::exit(i32::from(code));
}

/// Statements from a pipe: the same session without prompts.
fn from_pipe(mut session: Session) -> Result<u8> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Failure::new(format!("cannot read the input: {e}")))?;
        if let Pushed::Exit(code) = session.push(&line) {
            return Ok(code);
        }
    }
    // A block at the end is complete without the empty line.
    if let Pushed::Exit(code) = session.push("") {
        return Ok(code);
    }
    Ok(session.end())
}

fn interactive(session: Session) -> Result<u8> {
    let shared = Rc::new(RefCell::new(Some(session)));
    let mut editor: Editor<Names, DefaultHistory> =
        Editor::new().map_err(|e| Failure::new(format!("no line editor: {e}")))?;
    editor.set_helper(Some(Names(shared.clone())));
    let history = home::home().ok().map(|home| home.join("python-history.txt"));
    if let Some(history) = &history {
        let _ = editor.load_history(history);
    }
    println!(
        "Python 3 by mynah {} (nothing is granted but by --allow; Ctrl-D ends)",
        env!("CARGO_PKG_VERSION")
    );
    let mut prompt = ">>> ";
    let mut ended = None;
    while ended.is_none() {
        match editor.readline(prompt) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = editor.add_history_entry(line.as_str());
                }
                let pushed = shared.borrow_mut().as_mut().map(|session| session.push(&line));
                prompt = if pushed == Some(Pushed::More) { "... " } else { ">>> " };
                if let Some(Pushed::Exit(code)) = pushed {
                    ended = Some(code);
                }
            }
            Err(ReadlineError::Interrupted) => {
                println!("KeyboardInterrupt");
                if let Some(session) = shared.borrow_mut().as_mut() {
                    session.reset();
                }
                prompt = ">>> ";
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::new(format!("cannot read the terminal: {error}"))),
        }
    }
    if let Some(history) = &history {
        // A history that cannot be kept is not worth an error.
        let _ = history.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(history);
    }
    match (ended, shared.borrow_mut().take()) {
        (None, Some(session)) => Ok(session.end()),
        (code, _) => Ok(code.unwrap_or(0)),
    }
}
