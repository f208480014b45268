//! Reads the options that Gemini keeps in an object of their own.

use super::values::given;
use super::{Here, Scan, Stop};
use crate::domain::call::Inside;
use crate::protocol::json::{NAME_LIMIT, Reader};

impl Scan {
    /// Walks Gemini's options; notes those that defaults may fill in.
    pub(super) fn generation_config(&mut self, reader: &mut Reader<'_>) -> Result<Inside, Stop> {
        let start = reader.at();
        let mut config = Inside { value: start..start, inside: None, is_empty: true };
        if reader.peek() == Some(b'{') {
            config.inside = Some(start + 1);
            reader.object(|reader, key| {
                config.is_empty = false;
                let value = reader.at();
                let mut room = [0; NAME_LIMIT];
                match key.name(&mut room).unwrap_or_default() {
                    b"temperature" => {
                        self.found.temperature = given(reader)?.is_some();
                        self.found.places.temperature = Some(value..reader.at());
                    }
                    b"maxOutputTokens" | b"max_output_tokens" => {
                        self.found.max_output_tokens = given(reader)?;
                        self.found.places.max_output_tokens = Some(value..reader.at());
                    }
                    _ => self.member(reader, key, Here::Text)?,
                }
                Ok::<(), Stop>(())
            })?;
        } else {
            self.walk(reader, Here::Text)?;
        }
        config.value = start..reader.at();
        Ok(config)
    }
}
