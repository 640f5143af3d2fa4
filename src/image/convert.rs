//! Converts the bytes of each pixel format to RGB. The caller, `Format::to_rgb`, has checked size, stride and length.

use crate::image::{Raw, Rgb};
use yuv::{
    YuvBiPlanarImage, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImage, YuvRange, YuvStandardMatrix,
    bgr_to_rgb, uyvy422_to_rgb, yuv_nv12_to_rgb, yuv_nv21_to_rgb, yuv420_to_rgb, yuyv422_to_rgb, yvyu422_to_rgb,
};

/// The signature of the conversion functions.
pub(super) type Converter = fn(Raw<&[u8]>) -> Result<Rgb, String>;

// The functions of the crate yuv for formats that differ only in the order of their channels.
type OfPairs = fn(&YuvPackedImage<u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;
type OfTwoPlanes =
    fn(&YuvBiPlanarImage<u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix, YuvConversionMode) -> Result<(), YuvError>;

// BT.601 with limited range, the default of UVC cameras.
const RANGE: YuvRange = YuvRange::Limited;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt601;

pub(super) fn yuyv(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    pairs(raw, yuyv422_to_rgb)
}

pub(super) fn uyvy(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    pairs(raw, uyvy422_to_rgb)
}

pub(super) fn yvyu(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    pairs(raw, yvyu422_to_rgb)
}

pub(super) fn nv12(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    two_planes(raw, yuv_nv12_to_rgb)
}

pub(super) fn nv21(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    two_planes(raw, yuv_nv21_to_rgb)
}

pub(super) fn yu12(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    three_planes(raw, false)
}

pub(super) fn yv12(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    three_planes(raw, true)
}

pub(super) fn rgb3(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    by_line(raw, |to, from| to.copy_from_slice(&from[..to.len()]))
}

pub(super) fn bgr3(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let Raw { bytes, width, height, stride } = raw;
    bgr_to_rgb(bytes, stride, &mut rgb.data, width * 3, width, height).map_err(|e| e.to_string())?;
    Ok(rgb)
}

pub(super) fn grey(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    by_line(raw, |to, from| {
        for (to, &grey) in to.as_chunks_mut().0.iter_mut().zip(from) {
            *to = [grey; 3];
        }
    })
}

pub(super) fn jpeg(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    crate::image::jpeg::decode(raw.bytes)
}

fn blank(raw: &Raw<&[u8]>) -> Rgb {
    Rgb::filled(raw.width, raw.height, [0; 3])
}

/// 4:2:2 packed: two pixels in four bytes.
fn pairs(raw: Raw<&[u8]>, convert: OfPairs) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let image = YuvPackedImage { yuy: raw.bytes, yuy_stride: raw.stride, width: raw.width, height: raw.height };
    convert(&image, &mut rgb.data, raw.width * 3, RANGE, MATRIX).map_err(|e| e.to_string())?;
    Ok(rgb)
}

/// 4:2:0 with both chroma channels in one plane.
fn two_planes(raw: Raw<&[u8]>, convert: OfTwoPlanes) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let (luma, chroma) = raw.bytes.split_at(raw.stride as usize * raw.height as usize);
    let image = YuvBiPlanarImage {
        y_plane: luma,
        y_stride: raw.stride,
        uv_plane: chroma,
        // A pair of chroma values never spans two lines, so an odd stride is rounded up (see planes_420).
        uv_stride: raw.stride.next_multiple_of(2),
        width: raw.width,
        height: raw.height,
    };
    convert(&image, &mut rgb.data, raw.width * 3, RANGE, MATRIX, YuvConversionMode::Balanced)
        .map_err(|e| e.to_string())?;
    Ok(rgb)
}

/// 4:2:0 with a plane for each channel.
fn three_planes(raw: Raw<&[u8]>, v_before_u: bool) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let (luma, chroma) = raw.bytes.split_at(raw.stride as usize * raw.height as usize);
    let half = raw.stride.div_ceil(2);
    let (first, second) = chroma.split_at(half as usize * raw.height.div_ceil(2) as usize);
    let (u_plane, v_plane) = if v_before_u { (second, first) } else { (first, second) };
    let image = YuvPlanarImage {
        y_plane: luma,
        y_stride: raw.stride,
        u_plane,
        u_stride: half,
        v_plane,
        v_stride: half,
        width: raw.width,
        height: raw.height,
    };
    yuv420_to_rgb(&image, &mut rgb.data, raw.width * 3, RANGE, MATRIX).map_err(|e| e.to_string())?;
    Ok(rgb)
}

/// Formats without shared chroma: each line is converted separately by `convert(to, from)`.
fn by_line(raw: Raw<&[u8]>, convert: fn(&mut [u8], &[u8])) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let lines = rgb.data.chunks_exact_mut(raw.width as usize * 3);
    for (to, from) in lines.zip(raw.bytes.chunks(raw.stride as usize)) {
        convert(to, from);
    }
    Ok(rgb)
}
