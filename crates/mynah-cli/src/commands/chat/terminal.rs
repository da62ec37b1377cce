//! The conversation in a terminal: line editing, history, streaming, `/` commands.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mynah_engine::{Finish, Part, Piece};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::conversation::Talk;
use super::is_tool;
use crate::failure::{Failure, Result};
use crate::home;

const HELP: &str = "\
/help                 this list
/reset                forget the conversation (the instructions stay)
/retry                another answer to the last question
/system TEXT          instructions for the whole conversation (without TEXT: none)
/temperature X        0 is always the likeliest answer, 1 is lively
/top-k N  /top-p X    fewer or more words to choose from
/tokens N             the longest answer in tokens
/seed N               other random choices
/save FILE            write the conversation as JSON
/load FILE            go on with a saved one
/quit                 end (also Ctrl-D)";

/// A line that begins with `/`.
#[derive(Debug, PartialEq)]
enum Command<'a> {
    Help,
    Reset,
    Retry,
    System(&'a str),
    Temperature(f64),
    TopK(usize),
    TopP(f64),
    Tokens(usize),
    Seed(u64),
    Save(&'a str),
    Load(&'a str),
    Quit,
}

fn parse(line: &str) -> Result<Command<'_>> {
    let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let value = value.trim();
    fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
        value.parse().map_err(|_| Failure::new(format!("{name} needs a number, not '{value}'")))
    }
    let needed = |what: &str| {
        if value.is_empty() { Err(Failure::new(format!("{name} needs {what}"))) } else { Ok(value) }
    };
    Ok(match name {
        "/help" | "/?" | "/h" => Command::Help,
        "/reset" | "/clear" => Command::Reset,
        "/retry" => Command::Retry,
        "/system" => Command::System(value),
        "/temperature" | "/temp" => Command::Temperature(number(name, value)?),
        "/top-k" => Command::TopK(number(name, value)?),
        "/top-p" => Command::TopP(number(name, value)?),
        "/tokens" => Command::Tokens(number(name, value)?),
        "/seed" => Command::Seed(number(name, value)?),
        "/save" => Command::Save(needed("a file")?),
        "/load" => Command::Load(needed("a file")?),
        "/quit" | "/exit" | "/q" => Command::Quit,
        other => return Err(Failure::new(format!("unknown command {other}")).advice("/help lists them")),
    })
}

/// Reads lines with editing and history until the user ends.
///
/// # Errors
/// When the terminal cannot be used. A question that fails is shown and the conversation goes on.
pub fn interactive(talk: &mut Talk<'_>, folder: &Path) -> Result<()> {
    // While an answer is written, Ctrl-C ends the answer and not the program.
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    ctrlc::set_handler(move || seen.store(true, Ordering::SeqCst))
        .map_err(|error| Failure::new(format!("cannot watch for Ctrl-C: {error}")))?;
    let mut editor =
        DefaultEditor::new().map_err(|error| Failure::new(format!("no line editor: {error}")))?;
    let history = home::home().ok().map(|home| home.join("chat-history.txt"));
    if let Some(history) = &history {
        let _ = editor.load_history(history);
    }
    println!("model {} · /help for commands, Ctrl-D to end\n", folder.display());
    loop {
        let line = match editor.readline("you> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::new(format!("cannot read the terminal: {error}"))),
        };
        if line.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(line.as_str());
        interrupted.store(false, Ordering::SeqCst);
        match turn(talk, line.trim(), true, &interrupted) {
            Ok(true) => {}
            Ok(false) => break,
            Err(failure) => eprintln!("error: {failure}"),
        }
    }
    if let Some(history) = &history {
        // A history that cannot be kept is not worth an error.
        let _ = history.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(history);
    }
    Ok(())
}

/// Reads lines from a pipe, one question each: the same conversation without an editor.
///
/// # Errors
/// The first question that fails.
pub fn from_pipe(talk: &mut Talk<'_>) -> Result<()> {
    let never = AtomicBool::new(false);
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::io("cannot read", Path::new("stdin"), &error))?;
        if !line.trim().is_empty() && !turn(talk, line.trim(), false, &never)? {
            break;
        }
    }
    Ok(())
}

/// One line of the user; false when the conversation is to end.
fn turn(talk: &mut Talk<'_>, line: &str, people: bool, interrupted: &AtomicBool) -> Result<bool> {
    if !line.starts_with('/') {
        answer(talk, line, people, interrupted)?;
        return Ok(true);
    }
    match parse(line)? {
        Command::Help => println!("{HELP}\n"),
        Command::Reset => {
            talk.reset();
            println!("(a new conversation)\n");
        }
        Command::Retry => match talk.take_back() {
            Some(question) => answer(talk, &question, people, interrupted)?,
            None => println!("(nothing was asked yet)\n"),
        },
        Command::System(text) => {
            talk.set_system(text);
            println!("({})\n", if text.is_empty() { "no instructions" } else { "instructions set" });
        }
        Command::Temperature(value) => change(talk, |talk| talk.options.temperature = value)?,
        Command::TopK(value) => change(talk, |talk| talk.options.top_k = value)?,
        Command::TopP(value) => change(talk, |talk| talk.options.top_p = value)?,
        Command::Tokens(value) => change(talk, |talk| talk.tokens_max = value)?,
        Command::Seed(value) => change(talk, |talk| talk.options.seed = value)?,
        Command::Save(path) => {
            talk.save(Path::new(path))?;
            println!("(saved to {path})\n");
        }
        Command::Load(path) => {
            talk.load(Path::new(path))?;
            println!("({} messages)\n", talk.len());
        }
        Command::Quit => return Ok(false),
    }
    Ok(true)
}

/// Changes an option, or leaves all as it was when the value is out of range.
fn change(talk: &mut Talk<'_>, set: impl FnOnce(&mut Talk<'_>)) -> Result<()> {
    let before = talk.options.clone();
    set(talk);
    if let Err(error) = talk.options.check() {
        talk.options = before;
        return Err(error.into());
    }
    println!("(set)\n");
    Ok(())
}

fn answer(talk: &mut Talk<'_>, question: &str, people: bool, interrupted: &AtomicBool) -> Result<()> {
    let colour = people && std::io::stdout().is_terminal();
    let mut out = std::io::stdout().lock();
    if people {
        let _ = write!(out, "mynah> ");
        let _ = out.flush();
    }
    let mut part = Part::Answer;
    let mut show = |piece: &Piece| {
        let written = show_piece(&mut out, piece, &mut part, colour);
        written.is_ok() && !interrupted.load(Ordering::SeqCst)
    };
    let answer = talk.ask(question, &mut show);
    let _ = match &answer {
        Ok(answer) => match answer.finish {
            Finish::MaxTokens => writeln!(out, " … (cut; /tokens N allows more)"),
            Finish::ContextFull => writeln!(out, " … (the context is full; /reset begins anew)"),
            Finish::Cancelled => writeln!(out, " … (stopped)"),
            _ => writeln!(out),
        },
        Err(_) => writeln!(out),
    };
    if people {
        let _ = writeln!(out);
    }
    answer.map(|_| ())
}

/// Writes one piece; tool calls stand in brackets: `[17+25 → 42]`.
fn show_piece(
    out: &mut impl std::io::Write,
    piece: &Piece,
    part: &mut Part,
    colour: bool,
) -> std::io::Result<()> {
    if piece.part != *part {
        match (*part, piece.part) {
            (_, Part::ToolCall) => write!(out, "{}[", if colour { "\x1b[2m" } else { "" })?,
            (_, Part::ToolResult) => write!(out, " → ")?,
            (_, Part::Answer) => write!(out, "]{} ", if colour { "\x1b[0m" } else { "" })?,
        }
        *part = piece.part;
    }
    // What a model writes must not steer the terminal.
    let clean: String = piece
        .text
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    let clean = if is_tool(piece.part) { clean.replace('\n', " ") } else { clean };
    write!(out, "{clean}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(parse("/help").unwrap(), Command::Help);
        assert_eq!(parse("/temperature 0.5").unwrap(), Command::Temperature(0.5));
        assert_eq!(parse("/system  Be brief. ").unwrap(), Command::System("Be brief."));
        assert_eq!(parse("/save a b.json").unwrap(), Command::Save("a b.json"));
        for bad in ["/temperature warm", "/save", "/dance"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(HELP.lines().all(|line| {
            let name = line.split_whitespace().next().unwrap_or_default();
            parse(&format!("{name} 1")).is_ok()
        }));
    }

    #[test]
    fn tool_calls_stand_in_brackets_and_control_codes_do_not_pass() {
        let mut out = Vec::new();
        let mut part = Part::Answer;
        for (kind, text) in [
            (Part::Answer, "It is"),
            (Part::ToolCall, "17+25"),
            (Part::ToolResult, "42"),
            (Part::Answer, "42\x1b[2J."),
        ] {
            let piece = Piece { id: None, sampled: true, part: kind, text: text.to_string() };
            show_piece(&mut out, &piece, &mut part, false).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "It is[17+25 → 42] 42\u{fffd}[2J.");
    }
}
