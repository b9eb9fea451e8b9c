//! Charts as SVG, for a page that is read on a desk and on a phone.
//!
//! Each is drawn in two sizes, because letters shrink with a picture that is scaled. Letters and lines have colours of their own,
//! which the page replaces by those of its light or dark face.

use std::error::Error;
use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// Width and height, on a desk and on a phone.
pub const SIZES: [(u32, u32); 2] = [(1080, 300), (350, 240)];

/// The colours of series; the last is that of everything else.
pub const COLOURS: [&str; 8] = [
    "#4E79A7", "#F28E2B", "#59A14F", "#E15759", "#B07AA1", "#76B7B2", "#C9A227", "#9A9A9A",
];

/// What the page replaces by its own line colour.
const LINE: RGBColor = RGBColor(1, 1, 1);
/// What is outside of the window is paler.
const PALE: f64 = 0.45;

/// Why no chart could be drawn.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A place on the horizontal axis that has a label.
pub type Tick = (usize, String);

/// Values over time, one for each step, on top of each other.
#[derive(Clone, Debug)]
pub struct Bars {
    /// Each series' values, the lowest first.
    pub stacks: Vec<Vec<f64>>,
    /// Labels of steps.
    pub ticks: Vec<Tick>,
    /// So many steps lie before the window.
    pub before: usize,
    /// What the values are.
    pub unit: &'static str,
}

/// Curves over time.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Each curve's value at each step; none where there is no figure.
    pub curves: Vec<Vec<Option<f64>>>,
    /// Labels of steps.
    pub ticks: Vec<Tick>,
    /// What the values are.
    pub unit: &'static str,
}

/// Stacked bars, in every size.
///
/// # Errors
/// What the plotting library says.
pub fn bars(chart: &Bars) -> Result<[String; 2], Failure> {
    let [wide, narrow] = SIZES;
    Ok([draw_bars(chart, wide)?, draw_bars(chart, narrow)?])
}

/// Curves, in every size.
///
/// # Errors
/// What the plotting library says.
pub fn lines(chart: &Lines) -> Result<[String; 2], Failure> {
    let [wide, narrow] = SIZES;
    Ok([draw_lines(chart, wide)?, draw_lines(chart, narrow)?])
}

fn draw_bars(chart: &Bars, size: (u32, u32)) -> Result<String, Failure> {
    let steps = chart.stacks.first().map_or(0, Vec::len);
    let height = |step: usize| -> f64 {
        let values = chart.stacks.iter().filter_map(|stack| stack.get(step));
        values.sum()
    };
    let top = (0..steps).map(height).fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let axis = Steps::new(steps, &chart.ticks, size);
        let mut plot = axes(&area, axis, top, chart.unit)?;
        let mut floors = vec![0.0; steps];
        for (stack, colour) in chart.stacks.iter().zip(COLOURS) {
            let colour = rgb(colour);
            let values = stack.iter().zip(&mut floors).enumerate();
            let bars = values.filter(|(_, (value, _))| **value > 0.0);
            let bars = bars.map(|(step, (value, floor))| {
                let (low, high) = (*floor, *floor + value);
                *floor = high;
                let alpha = if step < chart.before { PALE } else { 1.0 };
                let x = position(step);
                // Bars of many steps touch each other.
                let half = if steps > 100 { 0.5 } else { 0.4 };
                let corners = [(x - half, low), (x + half, high)];
                Rectangle::new(corners, colour.mix(alpha).filled())
            });
            plot.draw_series(bars.collect::<Vec<_>>())?;
        }
        area.present()?;
    }
    Ok(svg)
}

fn draw_lines(chart: &Lines, size: (u32, u32)) -> Result<String, Failure> {
    let steps = chart.curves.first().map_or(0, Vec::len);
    let values = chart.curves.iter().flatten().flatten();
    let top = values.copied().fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let axis = Steps::new(steps, &chart.ticks, size);
        let mut plot = axes(&area, axis, top, chart.unit)?;
        for (curve, colour) in chart.curves.iter().zip(COLOURS) {
            let colour = rgb(colour);
            // A gap is no line, and a single figure is a dot.
            let whole = curve.iter().enumerate().collect::<Vec<_>>();
            for run in whole.split(|(_, value)| value.is_none()) {
                let points: Vec<_> = run
                    .iter()
                    .filter_map(|(step, value)| Some((position(*step), value.as_ref().copied()?)))
                    .collect();
                match points.as_slice() {
                    [] => {}
                    [only] => {
                        plot.draw_series([Circle::new(*only, 2, colour.filled())])?;
                    }
                    _ => {
                        let width = if size.0 > 500 { 2 } else { 1 };
                        plot.draw_series(LineSeries::new(points, colour.stroke_width(width)))?;
                    }
                }
            }
        }
        area.present()?;
    }
    Ok(svg)
}

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Steps, RangedCoordf64>>;
type Area<'b> = DrawingArea<SVGBackend<'b>, plotters::coord::Shift>;

fn axes<'a, 'b>(
    area: &'a Area<'b>,
    across: Steps,
    top: f64,
    unit: &str,
) -> Result<Plot<'a, 'b>, Failure> {
    let top = if top > 0.0 { top * 1.05 } else { 1.0 };
    let mut plot = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(14)
        .margin_left(8)
        .x_label_area_size(26)
        .y_label_area_size(64)
        .build_cartesian_2d(across, 0.0..top)?;
    let letters = || ("sans-serif", 15).into_font().color(&LINE);
    plot.configure_mesh()
        .disable_x_mesh()
        .axis_style(LINE.mix(0.5))
        .bold_line_style(LINE.mix(0.15))
        .light_line_style(TRANSPARENT)
        .label_style(letters())
        .axis_desc_style(letters())
        .y_labels(5)
        .y_desc(unit)
        .y_label_formatter(&|y| number(*y, top))
        .draw()?;
    Ok(plot)
}

/// The horizontal axis: steps, some with a label.
struct Steps {
    range: Range<f64>,
    ticks: Vec<Tick>,
}

impl Steps {
    fn new(steps: usize, ticks: &[Tick], (width, _): (u32, u32)) -> Self {
        Self {
            range: -0.6..position(steps) - 0.4,
            ticks: thinned(ticks, if width > 500 { 10 } else { 4 }),
        }
    }
}

impl Ranged for Steps {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, (low, high))
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(step, _)| position(*step)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Steps {
    fn format_ext(&self, value: &f64) -> String {
        let mut ticks = self.ticks.iter();
        let tick = ticks.find(|(step, _)| (position(*step) - value).abs() < 0.01);
        tick.map_or(String::new(), |(_, label)| label.clone())
    }
}

/// Every so many labels, that they do not overlap.
fn thinned(ticks: &[Tick], most: usize) -> Vec<Tick> {
    let every = ticks.len().div_ceil(most).max(1);
    ticks.iter().step_by(every).cloned().collect()
}

#[expect(clippy::cast_precision_loss, reason = "a number of steps")]
fn position(step: usize) -> f64 {
    step as f64
}

/// A number on the vertical axis, with as many decimals as tell the labels apart.
fn number(value: f64, top: f64) -> String {
    let decimals = match top {
        top if top < 0.02 => 4,
        top if top < 0.2 => 3,
        top if top < 2.0 => 2,
        top if top < 5.0 => 1,
        _ => 0,
    };
    if top >= 10_000.0 {
        return format!("{:.0}k", value / 1000.0);
    }
    format!("{value:.decimals$}")
}

fn rgb(hex: &str) -> RGBColor {
    let channel = |at: usize| {
        let digits = hex.get(at..at + 2);
        digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())
    };
    let part = |at| channel(at).unwrap_or_default();
    RGBColor(part(1), part(3), part(5))
}
