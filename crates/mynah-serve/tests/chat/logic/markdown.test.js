import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks } from "../../../chat-page/markdown.js";
import { random } from "./random.js";

// A tree as short text: p(a em(b)), so that cases fit on a line.
const TAGS = { paragraph: "p", heading: "h", emphasis: "em", strong: "b", strike: "s", quote: "q", span: "" };
function show(node) {
  if (Array.isArray(node)) return node.map(show).join("");
  switch (node.kind) {
    case "text": return node.text;
    case "break": return "⏎";
    case "rule": return "hr()";
    case "code": return node.language === undefined ? `code(${node.text})` : `pre[${node.language}](${node.text})`;
    case "link": return `a[${node.address}](${show(node.parts)})`;
    case "heading": return `h${node.level}(${show(node.parts)})`;
    case "list": {
      const items = node.items.map((item) => `li${item.task === null ? "" : item.task ? "+" : "-"}(${show(item.blocks)})`);
      return `${node.ordered ? `ol${node.start}` : "ul"}${node.loose ? "!" : ""}(${items.join("")})`;
    }
    case "table": return `table[${node.align}](${[node.head, ...node.rows].map((row) => row.map(show).join("|")).join("/")})`;
    default: return `${TAGS[node.kind]}(${show(node.blocks ?? node.parts)})`;
  }
}
const check = (text, expected) => assert.equal(show(blocks(text)), expected, JSON.stringify(text));

test("paragraphs, headings, rules and quotes", () => {
  check("a\nb\n\nc", "p(a\nb)p(c)");
  check("# One\n###### Six ##\n####### seven", "h1(One)h6(Six)p(####### seven)");
  check("#tag\n\n---\n***", "p(#tag)hr()hr()");
  check("> a\nlazy\n> > b", "q(p(a\nlazy)q(p(b)))");
  check("a  \nb\\\nc", "p(a⏎b⏎c)");
  check("C# and F# ##", "p(C# and F# ##)");
});

test("lists nest, count and may be loose", () => {
  check("- a\n  - b\n- c", "ul(li(p(a)ul(li(p(b))))li(p(c)))");
  check("3. x\n4. y", "ol3(li(p(x))li(p(y)))");
  check("1. a\n  - b\n2. c", "ol1(li(p(a)ul(li(p(b))))li(p(c)))");
  check("- a\n\n- b", "ul!(li(p(a))li(p(b)))");
  check("- a\n* b", "ul(li(p(a)))ul(li(p(b)))");
  check("- [x] done\n- [ ] open", "ul(li+(p(done))li-(p(open)))");
  check("text\n- a", "p(text)ul(li(p(a)))");
  check("in 1999.\n2000. was", "p(in 1999.\n2000. was)");
  check("1. a\n\n   ```\n   x\n   ```\n2. b", "ol1!(li(p(a)pre[](x))li(p(b)))");
});

test("code is left alone", () => {
  check("```js\nlet *a* = `b`;\n```\nc", "pre[js](let *a* = `b`;)p(c)");
  check("~~~\n```\n~~~", "pre[](```)");
  check("```\nnot closed yet", "pre[](not closed yet)");
  check("````\n```\n````", "pre[](```)");
  check("`a*b*` ``c`d`` `e", "p(code(a*b*) code(c`d) `e)");
});

test("emphasis", () => {
  check("*a* **b** ***c*** ~~d~~ _e_ __f__", "p(em(a) b(b) em(b(c)) s(d) em(e) b(f))");
  check("**a *b* c** *d **e***", "p(b(a em(b) c) em(d b(e)))");
  check("*a**b*", "p(em(a**b))");
  check("snake_case_word 2 * 3 * 4 ** 5", "p(snake_case_word 2 * 3 * 4 ** 5)");
  check("**open and *half", "p(**open and *half)");
  check("\\*a\\* \\\\ \\z", "p(*a* \\ \\z)");
  check("**“quoted”** end", "p(b(“quoted”) end)");
});

test("links lead to the web and nowhere else", () => {
  check("[a](https://x.example/b_(c) \"t\")", "p(a[https://x.example/b_(c)](a))");
  check("see https://x.example/a_b. (http://y.example/)", "p(see a[https://x.example/a_b](https://x.example/a_b). (a[http://y.example/](http://y.example/)))");
  check("<https://x.example> <b>bold</b>", "p(a[https://x.example](https://x.example) <b>bold</b>)");
  check("![picture](https://x.example/p.png)", "p(a[https://x.example/p.png](picture))");
  for (const address of ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "//x.example", "vbscript:x", "file:///x", "&#106;avascript:x", "\tjavascript:x"]) {
    assert.ok(!JSON.stringify(blocks(`[a](${address}) [b](<${address}>)`)).includes('"link"'), address);
  }
});

test("tables", () => {
  check("| a | b |\n|:-:|--:|\n| `x|y` | 1 \\| 2 |\n| only |\n\nend", "table[center,right](a|b/code(x|y)|1 | 2/only|)p(end)");
  check("a | b\nno divider", "p(a | b\nno divider)");
});

test("any text is drawn, whole and piece by piece, and loses no word", () => {
  const pieces = ["*", "**", "_", "`", "```", "\n", "\n\n", "- ", "1. ", "> ", "# ", "|", "|-|-|\n", "[", "](", ")", "!", "<", ">", "\\", "~~", "    ", "https://x.example", "word", "é", "😀", "  \n"];
  const words = (node) => JSON.stringify(node, (name, value) => (name === "source" ? undefined : value)).match(/word/g)?.length ?? 0;
  for (let seed = 1; seed <= 400; seed += 1) {
    const pick = random(seed);
    const text = Array.from({ length: 60 }, () => pieces[pick(pieces.length)]).join("");
    for (let end = 0; end <= text.length; end += 9) blocks(text.slice(0, end));
    // A code block's info line is not shown, nor are cells beyond a table's head or what an address holds; everything else is.
    if (!/```|~~~|\||\]\(|https/.test(text)) assert.equal(words(blocks(text)), text.match(/word/g)?.length ?? 0, `seed ${seed}`);
  }
});

test("texts made to be slow are drawn all the same", () => {
  for (const text of ["*a ".repeat(20_000), "[".repeat(20_000) + "](x)".repeat(20_000), "`".repeat(9_999).concat("a"), `# ${"#".repeat(50_000)} x`, ">".repeat(20_000), "- ".repeat(20_000), "a\n".repeat(20_000), `-${" ".repeat(50_000)}x|`, "*_".repeat(20_000)]) {
    assert.ok(blocks(text).length > 0);
  }
});
