// A folder of the reader's own as a tar.gz, made in the browser: ustar, with pax headers for long or foreign names.
const BLOCK = 512;
const LEFT_OUT = /(^|\/)(\.git|__pycache__|\.venv|venv|node_modules|\.ipynb_checkpoints)(\/|$)|\.pyc$|(^|\/)\.DS_Store$/;
const encoder = new TextEncoder();

function header(name, size, type) {
  const block = new Uint8Array(BLOCK);
  const put = (text, at) => block.set(encoder.encode(text), at);
  put(name, 0);
  put("0000644\0", 100);
  put("0000000\0", 108);
  put("0000000\0", 116);
  put(`${size.toString(8).padStart(11, "0")}\0`, 124);
  put("00000000000\0", 136);
  put("        ", 148);
  put(type, 156);
  put("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

const padding = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

function pax(name) {
  const rest = ` path=${name}\n`;
  let length = encoder.encode(rest).length;
  while (String(length).length + encoder.encode(rest).length !== length) length = String(length).length + encoder.encode(rest).length;
  return encoder.encode(`${length}${rest}`);
}

// A shell pattern as `.tuningignore` has them; "*" stands for slashes, too.
function pattern(text) {
  const inside = text.replace(/\[(!?)([^\]]+)\]|([.+^${}()|\\[\]])|(\*)|(\?)/g, (_, not, set, special, star) =>
    set !== undefined ? `[${not ? "^" : ""}${set.replaceAll("\\", "\\\\")}]` : special ? `\\${special}` : star ? ".*" : ".",
  );
  return new RegExp(`^${inside}$`, "su");
}

function patterns(text) {
  const lines = text.split("\n").map((line) => line.trim().replace(/\/+$/, "").replace(/^\.\//, "").replace(/^\//, ""));
  return lines.filter((line) => line && !line.startsWith("#")).map(pattern);
}

// A pattern is for a name, or for a path from the folder, of a file or of a folder that it is in.
function isLeftOut(path, wanted) {
  const names = path.split("/");
  return names.some((name, i) => wanted.some((each) => each.test(name) || each.test(names.slice(0, i + 1).join("/"))));
}

// `files` as an input with webkitdirectory has them. The folder's own name is left out, and so are what nobody trains
// with and what the folder's .tuningignore lists. Throws `tooLarge(bytes)` when there is more than `most` to pack.
export async function packed(files, most, tooLarge) {
  const pathOf = (file) => file.webkitRelativePath.split("/").slice(1).join("/");
  const list = files.find((file) => pathOf(file) === ".tuningignore");
  const wanted = list ? patterns(await list.text()) : [];
  const kept = files
    .map((file) => [pathOf(file), file])
    .filter(([name]) => name && !LEFT_OUT.test(name) && !isLeftOut(name, wanted))
    .sort(([one], [other]) => (one < other ? -1 : 1)); // the same files, the same digest
  if (!kept.length) throw new Error("The folder holds no files to train with. Choose the one in which the program is.");
  const total = kept.reduce((sum, [, file]) => sum + file.size, 0);
  if (total > most) throw tooLarge(total);
  const parts = [];
  kept.forEach(([name, file], i) => {
    const bytes = encoder.encode(name);
    const isPlain = bytes.length <= 99 && bytes.length === name.length;
    if (!isPlain) {
      const record = pax(name);
      parts.push(header("pax", record.length, "x"), record, padding(record.length));
    }
    parts.push(header(isPlain ? name : `file-${i}`, file.size, "0"), file, padding(file.size));
  });
  parts.push(new Uint8Array(2 * BLOCK));
  const stream = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}
