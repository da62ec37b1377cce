//! GPT-2's way to write any bytes as visible characters: a visible Latin-1 byte is that character, the
//! other 68 are, in order, the characters from U+0100.

use std::sync::LazyLock;

static TO_CHAR: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let visible = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if visible { byte as u32 } else { next };
        next += u32::from(!visible);
        char::from_u32(code).expect("codes below U+0144 are characters")
    })
});

pub(super) fn write(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| TO_CHAR[usize::from(byte)]).collect()
}

/// `None` if a character stands for no byte.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    static TO_BYTE: LazyLock<[Option<u8>; 0x144]> = LazyLock::new(|| {
        let mut bytes = [None; 0x144];
        for byte in 0..=255u8 {
            bytes[TO_CHAR[usize::from(byte)] as usize] = Some(byte);
        }
        bytes
    });
    text.chars().map(|c| TO_BYTE.get(c as usize).copied().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_characters_and_all_bytes() {
        assert_eq!(write(b" the\n"), "ĠtheĊ");
        assert_eq!(write(&[0, 0x7F, 0xAD, 0xFF]), "ĀġŃÿ");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(read(&write(&all)), Some(all));
        assert_eq!(read("a b"), None);
        assert_eq!(read("\u{144}"), None);
    }
}
