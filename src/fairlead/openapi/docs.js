"use strict";

// The address that this page came from, in place of the variable.
const prefix = location.pathname.replace(/\/docs\/?$/, "");
for (const place of document.querySelectorAll(".origin")) {
  place.textContent = location.origin + prefix;
}

for (const block of document.querySelectorAll("pre.command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "Press Ctrl-C";
    }
  });
  block.append(button);
}

// Operations that have all of the words, in the contents and on the page.
const search = document.getElementById("search");
const operations = [...document.querySelectorAll(".operation")].map((section) => ({
  section,
  entry: document.querySelector(`nav a[href="#${section.id}"]`).parentElement,
  text: section.textContent.toLowerCase(),
}));
search.closest(".search").hidden = false;
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { section, entry, text } of operations) {
    const fits = words.every((word) => text.includes(word));
    section.hidden = entry.hidden = !fits;
    count += fits;
  }
  document.getElementById("found").textContent = words.length ? `${count} of ${operations.length}` : "";
});
