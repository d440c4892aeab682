//! A chart as inline SVG: lines, dots or bars over linear or logarithmic axes. Numbers in, text out.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 8] = [
    "#1f5fa8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#16a2b8", "#7f6a4d", "#555555",
];
/// Ticks of a linear axis, about.
const TICKS: f64 = 6.0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    Linear,
    /// Values below `f64::MIN_POSITIVE` are left out.
    Log,
}

#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub label: &'static str,
    pub scale: Scale,
    pub format: fn(f64) -> String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Line,
    Dots,
    /// From a point's x to the next one's.
    Bars,
}

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub mark: Mark,
    pub points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub title: &'static str,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

/// Text that may stand anywhere in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// An axis over the values that it must hold.
struct Fitted {
    axis: Axis,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Fitted {
    fn new(axis: Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| is_shown(axis.scale, *value)) {
            low = low.min(value);
            high = high.max(value);
        }
        let (low, high) = match axis.scale {
            _ if low > high => (1.0, 10.0),
            Scale::Linear => (
                low.min(0.0),
                if high > low.min(0.0) { high } else { low + 1.0 },
            ),
            Scale::Log => {
                let floor = 10_f64.powf(low.log10().floor());
                let ceiling = 10_f64.powf(high.log10().ceil());
                (
                    floor,
                    if ceiling > floor {
                        ceiling
                    } else {
                        floor * 10.0
                    },
                )
            }
        };
        Self {
            axis,
            low,
            high,
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.axis.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.axis.scale {
            Scale::Linear => {
                let rough = (self.high - self.low) / TICKS;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0]
                    .map(|unit| unit * power)
                    .into_iter()
                    .find(|step| *step >= rough)
                    .unwrap_or(rough);
                let count = ((self.high - self.low) / step).floor() as u32;
                (0..=count)
                    .map(|i| self.low + f64::from(i) * step)
                    .collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10().round() as i32;
                (0..=decades).map(|i| self.low * 10_f64.powi(i)).collect()
            }
        }
    }
}

fn is_shown(scale: Scale, value: f64) -> bool {
    value.is_finite() && (scale == Scale::Linear || value >= f64::MIN_POSITIVE)
}

impl Chart {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Fitted::new(self.x, points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Fitted::new(self.y, points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{}</title>\n",
            escape(self.title)
        );
        grid(&mut out, &x, &y);
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            draw(&mut out, series, colour, &x, &y);
        }
        self.legend(&mut out);
        out.push_str("</svg>\n");
        out
    }

    fn legend(&self, out: &mut String) {
        for (i, (series, colour)) in (0..).zip(self.series.iter().zip(COLOURS.iter().cycle())) {
            let (at, line) = (
                LEFT + 10.0 + f64::from(i % 6) * 130.0,
                12.0 + f64::from(i / 6) * 12.0,
            );
            text(out, at, line, "start", colour, &series.name);
        }
    }
}

fn grid(out: &mut String, x: &Fitted, y: &Fitted) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in x.ticks() {
        let at = x.place(tick);
        line(out, (at, TOP), (at, bottom));
        text(
            out,
            at,
            bottom + 16.0,
            "middle",
            "#333",
            &(x.axis.format)(tick),
        );
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        line(out, (LEFT, at), (right, at));
        text(
            out,
            LEFT - 6.0,
            at + 4.0,
            "end",
            "#333",
            &(y.axis.format)(tick),
        );
    }
    text(
        out,
        (LEFT + right) / 2.0,
        HEIGHT - 10.0,
        "middle",
        "#333",
        x.axis.label,
    );
    let middle = (TOP + bottom) / 2.0;
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "<text x=\"14\" y=\"{middle:.1}\" text-anchor=\"middle\" fill=\"#333\" \
         transform=\"rotate(-90 14 {middle:.1})\">{}</text>",
        escape(y.axis.label)
    );
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>",
        escape(text)
    );
}

fn draw(out: &mut String, series: &Series, colour: &str, x: &Fitted, y: &Fitted) {
    let shown = |(a, b): &&(f64, f64)| is_shown(x.axis.scale, *a) && is_shown(y.axis.scale, *b);
    let placed: Vec<_> = series
        .points
        .iter()
        .filter(shown)
        .map(|(a, b)| (x.place(*a), y.place(*b)))
        .collect();
    match series.mark {
        Mark::Line => {
            let path: Vec<_> = placed
                .iter()
                .map(|(a, b)| format!("{a:.1},{b:.1}"))
                .collect();
            let _ = writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
                path.join(" ")
            );
        }
        Mark::Dots => {
            for (a, b) in placed {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"2.5\" fill=\"{colour}\"/>"
                );
            }
        }
        Mark::Bars => {
            for pair in placed.windows(2) {
                let ((from, top), (to, _)) = (pair[0], pair[1]);
                let (width, height) = ((to - from).max(0.5), HEIGHT - BOTTOM - top);
                let _ = writeln!(
                    out,
                    "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
                     fill=\"{colour}\" fill-opacity=\"0.5\"/>"
                );
            }
        }
    }
}
