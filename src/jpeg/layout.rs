//! How a JPEG is laid out in components and scans. zune-jpeg panics on layouts that the standard hardly allows, or
//! allows and nobody writes; damage makes them out of good pictures. Found by feeding it millions of damaged pictures.

const ODD_SAMPLING: &str = "its colours are sampled as in no picture";
const ODD_SCANS: &str = "its scans do not go together";

/// The components of a frame, and the scans that were seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    progressive: bool,
    components: u8,
    /// The first component, luma, is sampled as finely as any: all pictures but rare CMYK ones.
    finest_first: bool,
    scans: u32,
    /// All components were in the first scan.
    whole: bool,
}

impl Layout {
    /// Takes a frame header, the marker `code` and the bytes behind its length, at least 7.
    pub fn frame(&mut self, code: u8, body: &[u8]) -> Result<(), &'static str> {
        let (count, specs) = (body.get(5).copied().unwrap_or(0), body.get(6..).unwrap_or_default());
        let specs = specs.as_chunks::<3>().0;
        if !matches!(count, 1 | 3 | 4) || specs.len() != usize::from(count) {
            return Err("it has neither 1 nor 3 nor 4 colours");
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

    /// Takes a scan header, the bytes behind its length.
    pub fn scan(&mut self, body: &[u8]) -> Result<(), &'static str> {
        let count = body.first().copied().unwrap_or(0);
        self.scans += 1;
        if self.scans == 1 {
            self.whole = count == self.components;
        }
        // What is put together from several scans is measured by its first component.
        if !self.finest_first && (self.progressive || !self.whole) {
            return Err(ODD_SAMPLING);
        }
        // Without progression each component comes once: all in one scan, or each in one of its own.
        let good = self.progressive
            || match self.whole {
                true => self.scans == 1,
                false => count == 1 && self.scans <= self.components.into(),
            };
        if good { Ok(()) } else { Err(ODD_SCANS) }
    }
}
