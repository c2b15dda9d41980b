//! `--name value` pairs. The only caller is the task runner, so a mistake ends the program with its name.

use std::fmt::Debug;
use std::str::FromStr;

/// The words after the command.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self(words)
    }

    /// The value after `--name`, if it is there.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let mut words = self.0.iter();
        words.find(|word| word.strip_prefix("--") == Some(name))?;
        words.next().map(String::as_str)
    }

    /// The text after `--name`.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| exit(&format!("--{name} is missing")))
    }

    /// The number after `--name`, or the one given here.
    pub(crate) fn number<T: FromStr<Err: Debug>>(&self, name: &str, otherwise: T) -> T {
        match self.find(name).map(str::parse) {
            None => otherwise,
            Some(Ok(number)) => number,
            Some(Err(error)) => exit(&format!("--{name}: {error:?}")),
        }
    }
}

/// Ends with a sentence on standard error.
pub(crate) fn exit(sentence: &str) -> ! {
    eprintln!("{sentence}");
    std::process::exit(2);
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    #[test]
    fn values_follow_their_names_and_others_keep_their_defaults() {
        let arguments = Arguments::new(["--port", "80", "--path", "/x"].map(str::to_owned).to_vec());
        assert_eq!(arguments.number("port", 1_u16), 80);
        assert_eq!(arguments.text("path"), "/x");
        assert_eq!(arguments.number("connections", 64_usize), 64);
    }
}
