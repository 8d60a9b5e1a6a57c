//! A picture as PNG.

use super::svg::{FONT, svg};
use memwhy_reason::picture::Picture;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// A part of the font [`FONT`], so that text is seen where no font is installed.
static FONT_FILE: &[u8] = include_bytes!("../../assets/DejaVuSansMono-part.ttf");

/// Pixels for each unit of the SVG.
const SCALE: f32 = 1.5;

/// The picture as a PNG file.
///
/// # Errors
/// If it cannot be drawn: a sentence for the user.
pub fn png(picture: &Picture) -> Result<Vec<u8>, String> {
    let mut options = Options { font_family: FONT.into(), ..Options::default() };
    options.fontdb_mut().load_font_data(FONT_FILE.to_vec());
    let tree = Tree::from_str(&svg(picture), &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or("the picture has no size")?;
    let mut pixels =
        Pixmap::new(size.width(), size.height()).ok_or("the picture is too large for PNG")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}
