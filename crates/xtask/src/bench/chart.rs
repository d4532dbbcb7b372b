//! The scaling curves as one SVG: points joined by lines on axes that both grow by tens. Knows no benchmark.

use std::fmt::Write;

const PANEL_WIDTH: f64 = 430.0;
const PANEL_HEIGHT: f64 = 330.0;
const MARGIN_LEFT: f64 = 70.0;
const MARGIN_RIGHT: f64 = 20.0;
const MARGIN_TOP: f64 = 60.0;
const MARGIN_BOTTOM: f64 = 55.0;
/// Told apart with any colour vision (Okabe and Ito), on white and on black.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Points with a name.
#[derive(Debug)]
pub(super) struct Series {
    /// What the legend says.
    pub(super) name: &'static str,
    /// Both above zero.
    pub(super) points: Vec<(f64, f64)>,
}

/// A pair of axes with what is drawn on them.
#[derive(Debug)]
pub(super) struct Panel {
    /// Above.
    pub(super) title: &'static str,
    /// Below the horizontal axis.
    pub(super) across: &'static str,
    /// Beside the vertical axis.
    pub(super) up: &'static str,
    /// The curves.
    pub(super) series: Vec<Series>,
}

/// Whole powers of ten around some values, and where a value lies between them.
#[derive(Debug, Clone, Copy)]
struct Axis {
    lowest: i32,
    highest: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let exponents: Vec<f64> = values.map(f64::log10).filter(|value| value.is_finite()).collect();
        let least = exponents.iter().copied().fold(f64::INFINITY, f64::min);
        let most = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (lowest, highest) = if exponents.is_empty() {
            (0, 1)
        } else {
            (least.floor() as i32, most.ceil() as i32)
        };
        Self {
            lowest,
            highest: highest.max(lowest + 1),
            from,
            to,
        }
    }

    fn place(self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.lowest)) / f64::from(self.highest - self.lowest);
        self.from + share * (self.to - self.from)
    }

    fn ticks(self) -> impl Iterator<Item = i32> {
        self.lowest..=self.highest
    }
}

/// Panels side by side.
pub(super) fn svg(panels: &[Panel]) -> String {
    let width = PANEL_WIDTH * panels.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {PANEL_HEIGHT}\" width=\"{width}\" \
         height=\"{PANEL_HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{PANEL_HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let _ = writeln!(
            text,
            "<g transform=\"translate({} 0)\">",
            PANEL_WIDTH * index as f64
        );
        draw(panel, &mut text);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn draw(panel: &Panel, text: &mut String) {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let across = Axis::around(
        points().map(|point| point.0),
        MARGIN_LEFT,
        PANEL_WIDTH - MARGIN_RIGHT,
    );
    let up = Axis::around(
        points().map(|point| point.1),
        PANEL_HEIGHT - MARGIN_BOTTOM,
        MARGIN_TOP,
    );
    let centre = f64::midpoint(across.from, across.to);
    let middle = f64::midpoint(up.from, up.to);
    label(
        text,
        (centre, 18.0),
        "middle",
        &format!("<tspan font-weight=\"bold\">{}</tspan>", panel.title),
    );
    label(text, (centre, PANEL_HEIGHT - 12.0), "middle", panel.across);
    let _ = writeln!(
        text,
        "<text transform=\"translate(16 {middle:.0}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        panel.up
    );
    for tick in across.ticks() {
        let x = across.place(10_f64.powi(tick));
        rule(text, (x, up.from), (x, up.to));
        label(text, (x, up.from + 18.0), "middle", &number(tick));
    }
    for tick in up.ticks() {
        let y = up.place(10_f64.powi(tick));
        rule(text, (across.from, y), (across.to, y));
        label(text, (across.from - 8.0, y + 4.0), "end", &number(tick));
    }
    for (index, series) in panel.series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let places: Vec<(f64, f64)> = series
            .points
            .iter()
            .map(|point| (across.place(point.0), up.place(point.1)))
            .collect();
        curve(text, &places, colour);
        let x = MARGIN_LEFT + 150.0 * index as f64;
        let _ = writeln!(text, "<circle cx=\"{x}\" cy=\"40\" r=\"4\" fill=\"{colour}\"/>");
        label(text, (x + 8.0, 44.0), "start", series.name);
    }
}

fn label(text: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    let (x, y) = at;
    let _ = writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

fn rule(text: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        text,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#cccccc\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn curve(text: &mut String, places: &[(f64, f64)], colour: &str) {
    let corners: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        corners.join(" ")
    );
    for (x, y) in places {
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
        );
    }
}

/// `10^tick` as people write it.
fn number(tick: i32) -> String {
    match tick {
        0.. => super::report::thousands(10_usize.saturating_pow(tick.unsigned_abs())),
        _ => format!("0.{}1", "0".repeat((tick.unsigned_abs() - 1) as usize)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tens_are_evenly_spaced_and_hold_every_point() {
        let axis = Axis::around([0.02, 30.0].into_iter(), 0.0, 400.0);
        assert_eq!((axis.lowest, axis.highest), (-2, 2));
        assert_eq!(
            [0.01, 1.0, 100.0].map(|value| axis.place(value)),
            [0.0, 200.0, 400.0]
        );
        let flat = Axis::around([1.0, 1.0].into_iter(), 0.0, 1.0);
        assert!(flat.highest > flat.lowest);
        assert_eq!(Axis::around(std::iter::empty(), 0.0, 1.0).ticks().count(), 2);
    }

    #[test]
    fn ticks_read_as_numbers() {
        assert_eq!([-3, -1, 0, 4].map(number), ["0.001", "0.1", "1", "10,000"]);
    }

    #[test]
    fn every_point_is_drawn() {
        let panel = Panel {
            title: "t",
            across: "pods",
            up: "seconds",
            series: vec![Series {
                name: "a",
                points: vec![(1.0, 1.0), (10.0, 2.0), (100.0, 3.0)],
            }],
        };
        let drawn = svg(&[panel]);
        // One more circle is the legend's.
        assert_eq!(drawn.matches("<circle").count(), 4);
        assert_eq!(drawn.matches("<g ").count(), drawn.matches("</g>").count());
    }
}
