/** @file Progress of downloads from the hub. */
import type { HubProgress } from "../formats/hub/download.js";
import type { Progress } from "./progress.js";

export function downloadProgress(progress: Progress): HubProgress {
  return (file, doneBytes, totalBytes) =>
    progress.update(
      `${file}: ${(doneBytes / 1e6).toFixed(1)} of ${(totalBytes / 1e6).toFixed(1)} MB`,
      doneBytes === totalBytes,
    );
}
