/**
 * @file Figures as SVG text, drawn by ECharts without a browser. Colours are the page's CSS variables, so that one
 * drawing serves dark and light.
 */
import { CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { LegacyGridContainLabel } from "echarts/features";
import { SVGRenderer } from "echarts/renderers";

use([CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, LegacyGridContainLabel, SVGRenderer]);

/** ECharts computes with colours, so it gets these, which nothing else uses, and the SVG the variables. */
const INK: Record<string, string> = {
  "#010203": "var(--ink)",
  "#040506": "var(--soft)",
  "#070809": "var(--line)",
  "#0a0b01": "var(--s1)",
  "#0a0b02": "var(--s2)",
  "#0a0b03": "var(--s3)",
  "#0a0b04": "var(--s4)",
  "#0a0b05": "var(--s5)",
  "#0a0b06": "var(--s6)",
};
const [TEXT, SOFT, LINE, ...SERIES] = Object.keys(INK) as [string, string, string, ...string[]];
const FONT = "system-ui, sans-serif";
/** Of a drawing for a desk, and of one for a phone: labels are about as high on both. */
const WIDTHS = { broad: 720, narrow: 360 } as const;
const LABEL_PIXELS = 12;

/** The same figure drawn for both; the style sheet shows the one that the screen has room for. */
export function drawForScreens(draw: (width: number) => string): string {
  return Object.entries(WIDTHS)
    .map(([name, width]) => `<div class="${name}">${draw(width)}</div>`)
    .join("");
}

export interface Bar {
  label: string;
  value: number | null;
  low: number | null;
  high: number | null;
  seeds: number[];
  /** Arms of one group share a colour. */
  group: number;
}

export interface Line {
  label: string;
  points: { x: number; y: number; low?: number | null; high?: number | null }[];
}

function draw(width: number, height: number, option: object): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({ animation: false, textStyle: { fontFamily: FONT, color: TEXT }, ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  const coloured = svg.replace(/#0[0-9a-f]0[0-9a-f]0[0-9a-f]/g, (ink) => INK[ink] ?? ink);
  // Scales with the page: ECharts gives the size in pixels and the viewBox.
  return coloured.replace(/<svg width="\d+" height="\d+"/, '<svg width="100%" role="img"');
}

const axis = (name: string) => ({
  name,
  nameLocation: "middle",
  nameGap: 28,
  nameTextStyle: { color: SOFT, fontSize: LABEL_PIXELS },
  axisLine: { lineStyle: { color: LINE } },
  axisLabel: { color: SOFT, fontSize: LABEL_PIXELS },
  splitLine: { lineStyle: { color: LINE } },
});

/**
 * Bars with 95 % intervals, one a row, and a dot for each seed. `from` and `to` bound the axis. On a narrow drawing
 * labels stand above their bars.
 */
export function drawBars(
  bars: readonly Bar[],
  axisName: string,
  [from, to]: [number, number],
  width: number = WIDTHS.broad,
): string {
  const isNarrow = width < WIDTHS.broad;
  const rows = [...bars].reverse();
  const renderBar = (_: unknown, api: CustomApi): object => {
    const [row, value, low, high, group] = [0, 1, 2, 3, 4].map((i) => api.value(i)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const [x0, y] = api.coord([from, row]) as [number, number];
    const at = (x: number): number => api.coord([x, row])[0]!;
    const whisker = (x: number): object => line(at(x), y - 5, at(x), y + 5);
    const children = [
      {
        type: "rect",
        shape: { x: x0, y: y - 9, width: Math.max(0, at(value) - x0), height: 18 },
        style: { fill: SERIES[group], opacity: 0.75 },
      },
    ];
    if (Number.isFinite(low))
      children.push(...([line(at(low), y, at(high), y), whisker(low), whisker(high)] as typeof children));
    return { type: "group", children };
  };
  // ECharts guesses the width of text without a browser, too small for long labels.
  const labelWidth = Math.min(width / 2, 12 + 7.5 * Math.max(...rows.map(({ label }) => label.length)));
  const left = isNarrow ? 12 : labelWidth;
  const besides = { width: labelWidth - 12, overflow: "truncate" };
  const above = {
    inside: true,
    margin: 0,
    padding: [0, 0, 11, 0],
    verticalAlign: "bottom",
    width: width - 28,
    overflow: "truncate",
  };
  return draw(width, 60 + (isNarrow ? 50 : 34) * rows.length, {
    grid: { left, right: 16, top: isNarrow ? 16 : 8, bottom: 44 },
    xAxis: { type: "value", min: from, max: to, ...axis(axisName) },
    yAxis: {
      type: "category",
      data: rows.map(({ label }) => label),
      ...axis(""),
      axisLabel: { color: TEXT, fontSize: LABEL_PIXELS, ...(isNarrow ? above : besides) },
      axisTick: { show: false },
      z: 10,
    },
    series: [
      {
        type: "custom",
        renderItem: renderBar,
        data: rows.flatMap(({ value, low, high, group }, i) =>
          value === null ? [] : [[i, value, low ?? Number.NaN, high ?? Number.NaN, group]],
        ),
        encode: { x: 1, y: 0 },
      },
      {
        type: "scatter",
        symbolSize: 6,
        itemStyle: { color: TEXT, opacity: 0.55 },
        data: rows.flatMap(({ seeds }, i) => seeds.map((seed) => [seed, i])),
      },
    ],
  });
}

interface CustomApi {
  value(dimension: number): number;
  coord(point: [number, number]): number[];
}

function line(x1: number, y1: number, x2: number, y2: number): object {
  return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: TEXT, lineWidth: 1.5 } };
}

/** Lines with intervals at their points where they have some. `logX`: doses are multiples of each other. */
export function drawLines(
  lines: readonly Line[],
  names: { x: string; y: string },
  { logX = false, width = WIDTHS.broad as number } = {},
): string {
  const colour = (i: number): string => SERIES[i % SERIES.length]!;
  const series = lines.flatMap(({ label, points }, i) => [
    {
      type: "line",
      name: label,
      data: points.map(({ x, y }) => [x, y]),
      showSymbol: points.length <= 20,
      symbolSize: 6,
      lineStyle: { color: colour(i), width: 2 },
      itemStyle: { color: colour(i) },
    },
    {
      type: "custom",
      name: label,
      itemStyle: { color: colour(i) },
      renderItem: (_: unknown, api: CustomApi): object => {
        const [x, low, high] = [0, 1, 2].map((k) => api.value(k)) as [number, number, number];
        const [px, top] = api.coord([x, high]) as [number, number];
        const bottom = api.coord([x, low])[1]!;
        const shape = { x1: px, y1: top, x2: px, y2: bottom };
        return { type: "line", shape, style: { stroke: colour(i), lineWidth: 1.5, opacity: 0.7 } };
      },
      data: points.flatMap(({ x, low, high }) =>
        typeof low === "number" && typeof high === "number" ? [[x, low, high]] : [],
      ),
      encode: { x: 0, y: [1, 2] },
    },
  ]);
  // Without a browser ECharts takes text for narrower than it is: entries of a narrow drawing get a line each.
  const isNarrow = width < WIDTHS.broad;
  const orient = isNarrow ? "vertical" : "horizontal";
  const top = 8 + 22 * (isNarrow ? lines.length : 1 + Math.floor(lines.length / 4));
  return draw(width, 310 + top, {
    legend: {
      top: 0,
      orient,
      ...(isNarrow && { left: 0 }),
      textStyle: { color: TEXT },
      type: "plain",
      data: lines.map(({ label }) => label),
    },
    grid: { left: 24, right: 16, top, bottom: 44, containLabel: true },
    xAxis: { type: logX ? "log" : "value", ...(logX && { logBase: 2 }), min: "dataMin", ...axis(names.x) },
    yAxis: { type: "value", scale: true, ...axis(names.y), nameGap: 36 },
    series,
  });
}
