/**
 * What the editor's modules hand each other, for the checker (`python dev.py test` runs tsc); nothing here runs.
 *
 * @typedef {import('./core.js').Editor} Editor its fields and methods are declared there and in session.js
 * @typedef {import('../document.js').Doc} Doc
 * @typedef {import('../document.js').Editing} Editing
 * @typedef {import('../document.js').Pair} Pair
 * @typedef {import('../document.js').Region} Region
 * @typedef {import('../document.js').Stroke} Stroke
 * @typedef {import('../document.js').Task} Task
 * @typedef {import('../document.js').Shape} MarkedShape
 * @typedef {import('../geometry.js').Matrix} Matrix
 * @typedef {import('../geometry.js').Motion} Motion
 * @typedef {import('../problems.js').Problem} Problem
 * @typedef {{prompt: string, task: Task | null}} Candidate what a model guesses; no task: the user chooses one
 * @typedef {{background: string, motion: string, candidates: Candidate[]}} Intent
 * @typedef {import('../raster.js').Shape} Shape
 * @typedef {import('../slic.js').Segments} Segments
 * @typedef {import('./shapes.js').Outline} Outline
 * @typedef {import('./handles.js').Handle} Handle
 * @typedef {[number, number]} Point of the picture, in its pixels
 * @typedef {[number, number]} BoxPoint of the box that the canvas fills, in CSS pixels
 * @typedef {{width: number, height: number}} Size
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {(HTMLImageElement | HTMLCanvasElement | ImageBitmap) & {naturalWidth?: number, naturalHeight?: number}} Picture
 * @typedef {{kind: 'region' | 'point', index: number}} Sel what is selected
 * @typedef {'edit' | 'preview' | 'result'} Showing what is on the canvas: the drawing, what the running model has, what it gave
 * @typedef {{phase: string, part: number | null}} Running what is done, in a word, and how far that is, in [0, 1]; null: nobody knows
 * @typedef {'new' | 'add' | 'subtract'} Mode what a finished shape does
 * @typedef {'ghost' | 'mask' | 'onion' | 'snap'} Shown
 * @typedef {{shiftKey: boolean, altKey: boolean, ctrlKey: boolean}} Keys held while a tool is used
 * @typedef {{x: number, y?: undefined} | {x?: undefined, y: number}} Guide a line that something snapped to
 * @typedef {{points: Point[], mode: Mode}} Draft a polygon that is begun
 * @typedef {{g: Context, key: string, of: unknown, empty?: boolean}} Layer a canvas, and what it was drawn for
 * @typedef {{el: HTMLElement, outside: (e: PointerEvent) => void}} Menu
 * @typedef {{image: Picture, asked: number, width: number, height: number, paths: Map<number, Path2D>}} Asked
 * @typedef {Asked & Segments} Pieces of a picture
 * @typedef {(Asked & {labels: null}) | Pieces} Wand no labels while they are looked for
 * @typedef {ReturnType<Editor['viewState']>} ViewState
 */

/**
 * What dragging does, from press to release.
 * @typedef {object} Gesture
 * @property {string} name
 * @property {() => void} end it is released
 * @property {() => void} [cancel] it never happened
 * @property {(g: Context) => void} [draw]
 * @property {string} [tag] a text beside `tagAt`
 * @property {Point} [tagAt]
 * @property {Guide[]} [guides]
 * @property {number} [knob] where the ring's knob is held, degrees
 * @property {number} [pointer] that drags
 * @property {BoxPoint} [from] where it was pressed
 *
 * @typedef {Gesture & {move: (p: Point, e: Keys) => void, keyed?: boolean, box?: undefined}} Drag of something in the picture;
 *   `keyed`: by the arrow keys
 * @typedef {Drag & {what: string}} Edit a drag that is one step of undo, called `what`
 * @typedef {Gesture & {box: (at: BoxPoint) => void, keyed?: undefined}} Slide of the view
 */

/**
 * @typedef {object} Tool
 * @property {string} label
 * @property {string} key
 * @property {string} icon
 * @property {'none' | 'click' | 'drag'} keys what Space does with the cross of the arrow keys
 * @property {string} cursor
 * @property {string} hint
 * @property {boolean} [sized] it has a radius
 * @property {(ed: Editor, p: Point, e: Keys) => Drag | null} down
 * @property {(ed: Editor) => void} [enter] it is taken up
 * @property {(ed: Editor, p: Point) => string} [hover] the pointer's look
 * @property {(ed: Editor, g: Context) => void} [draw] what it has begun
 *
 * @typedef {Tool & {finish: (ed: Editor) => void, back: (ed: Editor) => void}} PolygonTool
 * @typedef {Tool & {enter: (ed: Editor) => void, grain: (ed: Editor, way: number) => void}} WandTool
 * @typedef {{select: Tool, polygon: PolygonTool, rectangle: Tool, ellipse: Tool, brush: Tool, eraser: Tool, wand: WandTool,
 *   points: Tool, pan: Tool}} Tools
 * @typedef {keyof Tools} ToolName
 */

/**
 * What stands around the canvas, as far as the modules need it of each other.
 * @typedef {object} Parts
 * @property {{say: (text: string) => void, place: (p: Point | null) => void}} status
 * @property {(factor: number) => void} resizeBrush
 * @property {() => void} togglePanel
 * @property {() => void} toggleHelp
 * @property {(on: boolean) => void} paint what may change is painted
 * @property {() => void} clearMotion
 * @property {() => Handle[]} handles
 * @property {() => boolean} closePopups true if something was open
 * @property {() => void} frame
 * @property {() => void} sync
 */

/**
 * What a frame needs to know of a region.
 * @typedef {{region: Region, outline: Outline, index: number, color: string, motion: Motion, selected: boolean, moves: boolean}} Item
 */
export {}
