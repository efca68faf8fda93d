import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import { agentStateContract } from "../../test/contract/agent-state.js";
import { openLevelAgentState } from "./level-agent-state.js";
import { MemoryAgentState } from "./memory-agent-state.js";

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

agentStateContract("in memory", () => {
  const state = new MemoryAgentState();
  return Promise.resolve({ open: () => Promise.resolve(state), reopen: () => Promise.resolve(state) });
});

agentStateContract("on disk", async () => {
  const path = await mkdtemp(join(tmpdir(), "skein-agent-state-"));
  folders.push(path);
  const open = () => openLevelAgentState({ path: join(path, "state"), log: silentLogger });
  return { open, reopen: open };
});
