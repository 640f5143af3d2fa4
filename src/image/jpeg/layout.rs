//! The layout of a JPEG in components and scans. zune-jpeg panics on some layouts that the standard forbids or that no
//! program writes. Damaged pictures may have such layouts, which were found by decoding millions of damaged pictures.

const ODD_SAMPLING: &str = "its colour sampling is not supported";
const ODD_SCANS: &str = "its scans do not match";

/// The components of a frame, and the scans so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    progressive: bool,
    components: u8,
    /// True when no component has a finer sampling than the first one, luma; rare CMYK pictures differ.
    finest_first: bool,
    scans: u32,
    /// True when the first scan had all components.
    whole: bool,
}

impl Layout {
    /// Reads a frame header: the marker `code`, and at least 7 bytes after its length.
    pub fn frame(&mut self, code: u8, body: &[u8]) -> Result<(), &'static str> {
        let (count, specs) = (body.get(5).copied().unwrap_or(0), body.get(6..).unwrap_or_default());
        let specs = specs.as_chunks::<3>().0;
        if !matches!(count, 1 | 3 | 4) || specs.len() != usize::from(count) {
            return Err("it does not have 1, 3 or 4 colour components");
        }
        let factors = || specs.iter().map(|[_, sampling, _]| (sampling >> 4, sampling & 15));
        if !factors().all(|factors| matches!(factors, (1 | 2 | 4, 1 | 2 | 4))) {
            return Err(ODD_SAMPLING);
        }
        let finest = (factors().map(|(h, _)| h).max(), factors().map(|(_, v)| v).max());
        self.finest_first = factors().next().map(|(h, v)| (Some(h), Some(v))) == Some(finest);
        (self.progressive, self.components) = (code == 0xC2, count);
        Ok(())
    }

    /// True when the first scan has the whole picture.
    pub fn has_one_scan(&self) -> bool {
        !self.progressive && self.whole
    }

    /// Reads a scan header: the bytes after its length.
    pub fn scan(&mut self, body: &[u8]) -> Result<(), &'static str> {
        let count = body.first().copied().unwrap_or(0);
        self.scans += 1;
        if self.scans == 1 {
            self.whole = count == self.components;
        }
        // zune-jpeg takes the size of a picture of several scans from the first component.
        if !self.finest_first && (self.progressive || !self.whole) {
            return Err(ODD_SAMPLING);
        }
        // In a picture that is not progressive, each component occurs once: all components are in one scan, or each is
        // in a scan of its own.
        let good = self.progressive
            || match self.whole {
                true => self.scans == 1,
                false => count == 1 && self.scans <= self.components.into(),
            };
        if good { Ok(()) } else { Err(ODD_SCANS) }
    }
}
