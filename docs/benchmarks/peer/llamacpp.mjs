// Times llama.cpp, through node-llama-cpp's prebuilt binaries, on the CPU: prompt and decode tokens a second, one JSON line.
// usage: node llamacpp.mjs MODEL.gguf [threads=2] [prefill=512] [decode=32] [context=64] [sequences=1] [rounds=2]
import { getLlama } from "node-llama-cpp";

const file = process.argv[2];
const options = { threads: 2, prefill: 512, decode: 32, context: 64, sequences: 1, rounds: 2 };
for (const argument of process.argv.slice(3)) {
  const [key, value] = argument.split("=");
  if (!(key in options) || !(+value > 0)) throw new Error(`${argument}: known are ${Object.keys(options).join(", ")}, each with a number`);
  options[key] = +value;
}

const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: options.threads });
const model = await llama.loadModel({ modelPath: file, useMmap: true, gpuLayers: 0 });
const perSequence = Math.max(options.prefill, options.context + options.decode) + 64;
const context = await model.createContext({ contextSize: perSequence, batchSize: 512, sequences: options.sequences, threads: options.threads });
const sequences = Array.from({ length: options.sequences }, () => context.getSequence());
// Other tokens each time: the same prompt would ask the same experts.
const random = count => Array.from({ length: count }, () => 256 + Math.floor(Math.random() * 32000));
const seconds = async work => { const start = performance.now(); await work(); return (performance.now() - start) / 1000; };
const median = values => values.sort((a, b) => a - b)[values.length >> 1];

async function decode(sequence) {
  let count = 0;
  for await (const _ of sequence.evaluate(random(1), { temperature: 0, yieldEogToken: true })) if (++count >= options.decode) break;
}

await sequences[0].evaluateWithoutGeneratingNewTokens(random(32));
const prefills = [], decodes = [];
for (let round = 0; round < options.rounds; round++) {
  await sequences[0].clearHistory();
  prefills.push(options.prefill / await seconds(() => sequences[0].evaluateWithoutGeneratingNewTokens(random(options.prefill))));
  for (const sequence of sequences) {
    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(random(options.context));
  }
  decodes.push(options.sequences * options.decode / await seconds(() => Promise.all(sequences.map(decode))));
}
console.log(JSON.stringify({ ...options, used_threads: context.currentThreads, prefill_tokens_per_second: +median(prefills).toFixed(2), decode_tokens_per_second: +median(decodes).toFixed(2) }));
process.exit(0);
