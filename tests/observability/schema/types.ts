// Grafana's types as JSON can meet them: string enums are plain strings there.
import type { Dashboard } from "@grafana/schema";
import type { Options as Heatmap } from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as StateFieldConfig,
  Options as StateTimeline,
} from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type { Options as Table } from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
  FieldConfig as TimeFieldConfig,
  Options as Timeseries,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Loose<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer U)[]
      ? Loose<U>[]
      : T extends object
        ? { [K in keyof T]: Loose<T[K]> }
        : T;

// What a Prometheus data source adds to an annotation; the schema stops above it.
type Annotation = {
  expr?: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
  useValueForTime?: boolean;
};
type Base = Loose<Dashboard>;
type Notes = NonNullable<NonNullable<Base["annotations"]>["list"]>[number];

export type Board = Omit<Base, "annotations"> & { annotations: { list: (Notes & Annotation)[] } };
export type OptionsOf = {
  heatmap: Loose<Partial<Heatmap>>;
  stat: Loose<Partial<Stat>>;
  "state-timeline": Loose<Partial<StateTimeline>>;
  table: Loose<Partial<Table>>;
  timeseries: Loose<Partial<Timeseries>>;
};
export type CustomOf = {
  "state-timeline": Loose<Partial<StateFieldConfig>>;
  timeseries: Loose<Partial<TimeFieldConfig>>;
};
