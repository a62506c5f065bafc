// The look. Colours come from the host's variables; without a host from the system's dark or light.

const CSS = `
.drg { --bg: var(--comfy-menu-bg, #1c1d21); --field: var(--comfy-input-bg, #2a2c32); --fg: var(--fg-color, #eef0f4); --line: var(--border-color, #44474f);
  --accent: #3b82f6; --accent-fg: #fff; --warn: #ffb020; --bad: #ff5a5f; --hit: 30px; --icon: 18px;
  --soft: color-mix(in srgb, var(--fg) 10%, transparent); --faint: color-mix(in srgb, var(--fg) 66%, var(--bg));
  position: relative; display: flex; flex-direction: column; box-sizing: border-box; width: 100%; height: 100%; min-width: 0; min-height: 260px;
  overflow: hidden; border-radius: 8px; background: var(--bg); color: var(--fg); font: 12px/1.35 system-ui, -apple-system, "Segoe UI", sans-serif;
  text-align: left; user-select: none; -webkit-user-select: none; -webkit-tap-highlight-color: transparent }
@media (prefers-color-scheme: light) {
  .drg { --bg: var(--comfy-menu-bg, #f6f7f9); --field: var(--comfy-input-bg, #e6e8ec); --fg: var(--fg-color, #1c1f26); --line: var(--border-color, #c3c7cf) }
}
.drg *, .drg *::before { box-sizing: border-box }
.drg [hidden] { display: none !important }
.drg button, .drg input, .drg select, .drg textarea { font: inherit; color: inherit; margin: 0 }
.drg button { cursor: pointer; touch-action: manipulation }
.drg :focus-visible { outline: 2px solid var(--accent); outline-offset: -2px }
.drg h3 { margin: 0; font-size: 11px; font-weight: 600; letter-spacing: .02em; color: var(--faint) }
.drg p { margin: 0 }
.drg-icon { width: var(--icon); height: var(--icon); display: block; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; pointer-events: none; flex: none }
.drg-fill { fill: currentColor; stroke: none }
.drg-button { display: grid; place-items: center; flex: none; width: var(--hit); height: var(--hit); padding: 0; border: 0; border-radius: 6px; background: transparent; transition: background .12s }
.drg-button:hover { background: var(--soft) }
.drg-button[aria-pressed=true] { background: color-mix(in srgb, var(--accent) 26%, transparent); color: color-mix(in srgb, var(--accent) 55%, var(--fg)) }
.drg-rail .drg-button[aria-pressed=true] { background: var(--accent); color: var(--accent-fg) }
.drg-button:disabled { opacity: .32; cursor: default; background: none }
.drg-top { display: flex; align-items: center; gap: 1px; flex: none; padding: 3px 4px; border-bottom: 1px solid var(--line); overflow-x: auto; scrollbar-width: none }
.drg-narrow .drg-less { display: none }
.drg-gap { flex: none; width: 1px; height: 18px; margin: 0 4px; background: var(--line) }
.drg-space { flex: 1 }
.drg-body { position: relative; display: flex; flex: 1; min-height: 0 }
.drg-rail { display: flex; flex-direction: column; gap: 2px; flex: none; padding: 4px; border-right: 1px solid var(--line); overflow-y: auto; scrollbar-width: none }
.drg-box { position: relative; flex: 1; min-width: 0; overflow: hidden; background: color-mix(in srgb, var(--bg) 72%, #000); contain: strict }
@media (prefers-color-scheme: light) { .drg-box { background: color-mix(in srgb, var(--bg) 84%, #000) } }
.drg-canvas { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; display: block }
.drg-sink { position: absolute; left: 0; top: 0; width: 1px; height: 1px; padding: 0; border: 0; opacity: 0; pointer-events: none }
.drg-ring { position: absolute; inset: 0; pointer-events: none; border: 2px solid transparent }
.drg-sink:focus-visible ~ .drg-ring { border-color: color-mix(in srgb, var(--accent) 75%, transparent) }
.drg-drop .drg-ring { border: 2px dashed var(--accent); background: color-mix(in srgb, var(--accent) 14%, transparent) }
.drg-overlay { position: absolute; inset: 0; pointer-events: none }
.drg-overlay button { pointer-events: auto }
.drg-options { position: absolute; left: 8px; top: 8px; z-index: 1; display: flex; flex-wrap: wrap; align-items: center; gap: 6px; max-width: calc(100% - 16px) }
.drg-group, .drg-sized { display: flex; align-items: center; gap: 2px; padding: 2px; border-radius: 8px; background: color-mix(in srgb, var(--bg) 92%, transparent); box-shadow: 0 1px 5px rgba(0,0,0,.35) }
.drg-group .drg-button { width: calc(var(--hit) - 4px); height: calc(var(--hit) - 4px) }
.drg-sized { gap: 6px; padding: 2px 10px 2px 8px; height: calc(var(--hit)) }
.drg-sized .drg-range { width: 92px }
.drg-number { min-width: 42px; text-align: right; font-variant-numeric: tabular-nums; color: var(--fg) }
.drg-group .drg-number { padding: 0 4px; text-align: center }
.drg-pill { display: inline-flex; align-items: center; justify-content: center; gap: 5px; height: calc(var(--hit) - 4px); padding: 0 11px; border: 0; border-radius: 999px; background: var(--field); box-shadow: inset 0 0 0 1px var(--line); white-space: nowrap }
.drg-options .drg-pill { background: color-mix(in srgb, var(--bg) 92%, transparent); box-shadow: 0 1px 5px rgba(0,0,0,.35) }
.drg-pill:hover { background: color-mix(in srgb, var(--fg) 12%, var(--bg)) }
.drg-pill[aria-pressed=true], .drg-options .drg-pill[aria-pressed=true] { background: var(--accent); color: var(--accent-fg) }
.drg-pill .drg-icon { width: 14px; height: 14px }
.drg .drg-go { flex: none; margin-right: 3px; background: var(--accent); color: var(--accent-fg); font-weight: 600; box-shadow: none }
.drg .drg-go:hover { background: color-mix(in srgb, var(--accent) 82%, #000) }
.drg .drg-go.drg-danger { background: #c9343c; color: #fff }
.drg .drg-go.drg-danger:hover { background: #b02730 }
.drg-go span { pointer-events: none }
.drg:not(.drg-full) .drg-go { padding: 0 9px }
.drg-slim .drg-go span, .drg-slim .drg-top .drg-gap { display: none }
.drg-slim:not(.drg-full) .drg-top .drg-button { width: 26px }
.drg-danger, .drg-options .drg-danger { background: #c9343c; color: #fff; box-shadow: 0 1px 5px rgba(0,0,0,.35) }
.drg-danger:hover { background: #b02730 }
.drg-hint { position: absolute; left: 50%; bottom: 12px; transform: translateX(-50%); width: max-content; max-width: calc(100% - 24px); padding: 6px 12px; border-radius: 9px; background: rgba(16,18,24,.86); color: #fff; text-align: center; text-wrap: balance; box-shadow: 0 2px 10px rgba(0,0,0,.35) }
.drg-chips { position: absolute; left: 8px; bottom: 8px; right: 8px; display: flex; flex-direction: column; align-items: flex-start; gap: 4px }
.drg-hint.drg-up { bottom: auto; top: calc(var(--hit) + 16px) }
.drg-hint:not([hidden], .drg-up) ~ .drg-chips { bottom: 56px }
.drg-chip { display: flex; align-items: center; max-width: 100%; border-radius: 7px; background: rgba(16,18,24,.88); color: #fff; box-shadow: inset 3px 0 0 #8ab4ff, 0 1px 6px rgba(0,0,0,.35); overflow: hidden }
.drg-chip > span, .drg-chip-text { padding: 5px 9px 5px 11px; border: 0; background: none; text-align: left; color: inherit; overflow-wrap: anywhere }
.drg-warn { box-shadow: inset 3px 0 0 var(--warn), 0 1px 6px rgba(0,0,0,.35) }
.drg-bad { box-shadow: inset 3px 0 0 var(--bad), 0 1px 6px rgba(0,0,0,.35) }
.drg-chip-fix { align-self: stretch; padding: 0 10px; border: 0; border-left: 1px solid rgba(255,255,255,.2); background: rgba(255,255,255,.1); color: #fff; white-space: nowrap }
.drg-chip-fix:hover, .drg-chip-text:hover { background: rgba(255,255,255,.16) }
.drg-run { position: absolute; left: 10px; right: 10px; top: 10px; display: flex; align-items: center; gap: 8px; padding: 6px 6px 6px 12px; border-radius: 10px; background: rgba(16,18,24,.86); color: #fff }
.drg-run .drg-number { color: #fff }
.drg-bar { flex: 1; height: 6px; border-radius: 3px; background: rgba(255,255,255,.2); overflow: hidden }
.drg-bar i { display: block; height: 100%; border-radius: 3px; background: #5aa2ff; transition: width .2s }
.drg-badge { position: absolute; left: 50%; top: 10px; transform: translateX(-50%); display: flex; align-items: center; gap: 10px; max-width: calc(100% - 16px); padding: 5px 12px; border-radius: 999px; background: rgba(16,18,24,.86); color: #fff; white-space: nowrap }
.drg-old { padding: 4px 4px 4px 12px; box-shadow: inset 0 0 0 1px var(--warn) }
.drg-badge .drg-pill { background: rgba(255,255,255,.16); box-shadow: none }
.drg-options:not([hidden]) ~ .drg-overlay .drg-run, .drg-busy .drg-badge { top: calc(var(--hit) + 16px) }
.drg-busy .drg-hint.drg-up { top: calc(2 * var(--hit) + 28px) }
.drg-phase { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; min-width: 0; flex: 0 1 auto }
.drg-run .drg-bar { min-width: 30px }
.drg-run .drg-number:empty { display: none }
.drg-bar .drg-wait { width: 30%; animation: drg-wait 1.4s ease-in-out infinite alternate }
@keyframes drg-wait { from { margin-left: 0 } to { margin-left: 70% } }
.drg-inset { position: absolute; right: 8px; bottom: 8px; z-index: 1; display: flex; flex-direction: column; width: min(25%, 150px); padding: 0; border: 0; border-radius: 8px; overflow: hidden; background: rgba(16,18,24,.88); color: #fff !important; box-shadow: 0 0 0 2px rgba(255,255,255,.75), 0 2px 12px rgba(0,0,0,.5) }
.drg-inset canvas { display: block; width: 100%; pointer-events: none }
.drg-inset span { padding: 3px 6px; font-size: 11px; text-align: left; pointer-events: none }
.drg-aside .drg-chips { right: calc(min(25%, 150px) + 16px) }
.drg-aside .drg-hint { left: 8px; transform: none; max-width: calc(100% - min(25%, 150px) - 32px) }
.drg-empty { position: absolute; inset: 0; display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 10px; color: #e8eaf0; text-align: center; text-shadow: 0 1px 3px rgba(0,0,0,.6) }
.drg-empty .drg-icon { width: 40px; height: 40px; opacity: .75; stroke-width: 1.3 }
.drg-empty .drg-pill { color: var(--fg); text-shadow: none }
.drg-intents { flex: none; display: flex; flex-direction: column; gap: 4px; max-height: 45%; padding: 5px 8px; border-top: 1px solid var(--line); overflow-y: auto }
.drg-wrap { flex-wrap: wrap }
.drg-meaning { min-height: 2.7em; color: var(--faint); overflow-wrap: anywhere; user-select: text; -webkit-user-select: text }
.drg-bottom { flex: none; border-top: 1px solid var(--line) }
.drg-scrub { display: flex; align-items: center; gap: 6px; padding: 1px 10px 1px 4px }
.drg-scrub .drg-range { flex: 1 }
.drg-still { opacity: .35 }
.drg-range { -webkit-appearance: none; appearance: none; min-width: 40px; height: 22px; padding: 0; border: 0; background: none; cursor: pointer }
.drg-range::-webkit-slider-runnable-track { height: 4px; border-radius: 2px; background: linear-gradient(to right, var(--accent) var(--drg-part, 0%), color-mix(in srgb, var(--fg) 22%, transparent) var(--drg-part, 0%)) }
.drg-range::-moz-range-track { height: 4px; border-radius: 2px; background: color-mix(in srgb, var(--fg) 22%, transparent) }
.drg-range::-webkit-slider-thumb { -webkit-appearance: none; width: 14px; height: 14px; margin-top: -5px; border-radius: 50%; background: #fff; box-shadow: 0 0 0 1px rgba(0,0,0,.3), 0 1px 3px rgba(0,0,0,.4) }
.drg-range::-moz-range-thumb { width: 14px; height: 14px; border: 0; border-radius: 50%; background: #fff; box-shadow: 0 0 0 1px rgba(0,0,0,.3) }
.drg-line { display: flex; gap: 10px; padding: 3px 10px 4px; min-height: 23px; border-top: 1px solid color-mix(in srgb, var(--line) 50%, transparent) }
.drg-status { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.drg-place { flex: none; color: var(--faint); font-variant-numeric: tabular-nums; white-space: pre }
.drg-panel { display: none; flex-direction: column; gap: 14px; flex: none; width: 290px; padding: 12px; border-left: 1px solid var(--line); overflow-y: auto; background: var(--bg); scrollbar-width: thin; user-select: text; -webkit-user-select: text }
.drg-open .drg-panel { display: flex }
.drg:not(.drg-wide) .drg-panel { position: absolute; z-index: 3; right: 0; top: 0; bottom: 0; width: min(290px, calc(100% - 40px)); box-shadow: -8px 0 24px rgba(0,0,0,.35) }
.drg-section { display: flex; flex-direction: column; gap: 7px }
.drg-row { display: flex; align-items: center; gap: 4px; min-width: 0 }
.drg-list { display: flex; flex-direction: column; gap: 3px }
.drg-item { display: flex; flex-direction: column; gap: 3px; padding: 3px; border-radius: 8px }
.drg-item.drg-on { background: color-mix(in srgb, var(--accent) 16%, transparent); box-shadow: inset 0 0 0 1px color-mix(in srgb, var(--accent) 55%, transparent) }
.drg-item.drg-off .drg-index, .drg-item.drg-off .drg-name { opacity: .5 }
.drg-index { flex: none; width: 24px; height: 24px; padding: 0; border: 0; border-radius: 50%; background: var(--drg-color, #3b82f6); color: #14161b !important; font-weight: 700 !important }
.drg-point { background: #ff5a5f }
.drg-name { flex: 1; min-width: 40px; padding: 4px 6px; border: 0; border-radius: 5px; background: transparent; user-select: text; -webkit-user-select: text }
.drg-name:hover, .drg-name:focus { background: var(--field) }
.drg-name::placeholder, .drg-text::placeholder, .drg-input::placeholder { color: var(--faint); opacity: 1 }
.drg-faint { color: var(--faint); white-space: nowrap }
.drg-grow { flex: 1; padding-left: 6px; font-variant-numeric: tabular-nums }
.drg-color { width: 26px; height: 26px; padding: 2px; border: 0; border-radius: 6px; background: none; cursor: pointer }
.drg-select, .drg-input, .drg-text { min-width: 0; padding: 5px 7px; border: 1px solid transparent; border-radius: 6px; background: var(--field) }
.drg-select { flex: 1; height: calc(var(--hit) - 2px) }
.drg-select option { background: var(--field); color: var(--fg) }
.drg-widefield { grid-column: 1 / -1 }
.drg-grid { display: grid; grid-template-columns: 1fr 1fr; gap: 6px 10px }
.drg-field { display: grid; grid-template-columns: auto 1fr auto; align-items: center; gap: 5px; min-width: 0 }
.drg-field > span { color: var(--faint) }
.drg-field em { font-style: normal; color: var(--faint); min-width: 14px }
.drg-input { width: 100%; font-variant-numeric: tabular-nums; -moz-appearance: textfield; appearance: textfield }
.drg-input::-webkit-inner-spin-button { display: none }
.drg-tall { grid-template-columns: 1fr; gap: 3px }
.drg-text { width: 100%; min-height: 44px; resize: vertical; user-select: text; -webkit-user-select: text }
.drg-menu { position: absolute; z-index: 4; min-width: 190px; max-height: calc(100% - 12px); overflow-y: auto; padding: 5px; border-radius: 10px; background: var(--bg); box-shadow: 0 0 0 1px var(--line), 0 10px 30px rgba(0,0,0,.45) }
.drg-menu button { display: flex; align-items: center; justify-content: space-between; gap: 20px; width: 100%; min-height: var(--hit); padding: 4px 9px; border: 0; border-radius: 6px; background: none; text-align: left }
.drg-menu button:hover, .drg-menu button:focus { background: var(--soft) }
.drg-menu kbd { font: inherit; color: var(--faint) }
.drg-menu hr { height: 1px; margin: 5px 4px; border: 0; background: var(--line) }
.drg-head { padding: 5px 9px 3px; font-size: 11px; font-weight: 600; color: var(--faint) }
.drg-help { position: absolute; z-index: 5; inset: 10px; display: flex; flex-direction: column; gap: 10px; margin: auto; max-width: 640px; height: fit-content; max-height: calc(100% - 20px); padding: 14px 16px; border-radius: 12px; background: var(--bg); box-shadow: 0 0 0 1px var(--line), 0 12px 40px rgba(0,0,0,.5); overflow-y: auto }
.drg-help dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 14px; margin: 0 }
.drg-help dt { font-weight: 600; white-space: nowrap }
.drg-help dd { margin: 0; color: var(--faint) }
.drg-full { --hit: 44px; --icon: 22px; border-radius: 0; font-size: 14px }
.drg:not(.drg-full) .drg-item .drg-button { width: 26px }
.drg.drg-full .drg-panel { width: min(390px, calc(100% - 52px)) }
.drg-full .drg-index { width: 44px; height: 44px; border: 6px solid transparent; background-clip: padding-box }
.drg-full .drg-range { height: 44px }
.drg-full .drg-group .drg-button, .drg-full .drg-pill { height: 44px; min-width: 44px }
.drg-full .drg-select { height: 44px }
.drg-full .drg-input, .drg-full .drg-name { min-height: 40px }
.drg-full .drg-color { width: 44px; height: 44px; padding: 6px }
.drg-full .drg-number { min-width: 50px }
.drg-full .drg-chip-text, .drg-full .drg-chip-fix { min-height: 44px }
.drg-full h3, .drg-full .drg-head { font-size: 12px }
@media (pointer: coarse) { .drg:not(.drg-full) { --hit: 38px; --icon: 20px } }
@media (prefers-reduced-motion: reduce) { .drg * { transition: none !important; animation: none !important } }
`

/** @type {WeakMap<Document, CSSStyleSheet>} */
const sheets = new WeakMap()

/** Gives a document the editor's style, once. @param {Document} doc */
export function applyStyle(doc) {
  if (sheets.has(doc)) return
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(CSS)
  sheets.set(doc, sheet)
  doc.adoptedStyleSheets = [...doc.adoptedStyleSheets, sheet]
}
