// Run by `smartrag plugin build`: makes a component of a JavaScript module. Its one argument is JSON.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { tool, sourcePath, witPath, worldName, disableFeatures, output } = JSON.parse(process.argv[1]);
try {
  const { componentize } = await import(pathToFileURL(tool));
  const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
  writeFileSync(output, component);
} catch (error) {
  console.error(error.message ?? error);
  // The tool does not say where the module is no JavaScript; node does.
  const checked = spawnSync(process.execPath, ["--input-type=module", "--check"], { input: readFileSync(sourcePath) });
  if (checked.status !== 0) process.stderr.write(checked.stderr);
  process.exitCode = 1;
}
