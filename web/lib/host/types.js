/**
 * What we use of the host's page, ComfyUI's frontend, for the checker; nothing here runs. The host keeps more, and other
 * versions of it less: what is optional here is asked for before it is used.
 *
 * @typedef {import('../editor.js').DragEditor} DragEditor
 * @typedef {{filename: string, subfolder?: string, type?: string}} Ref to a file on the server
 * @typedef {{drag_background?: Ref[], drag_crop?: number[], drag_intent?: unknown[], drag_notes?: string[], drag_report?: string[], images?: Ref[],
 *   text?: string | string[]}} Output what a node gave when it ran
 * @typedef {(...args: unknown[]) => unknown} Hook
 * @typedef {{id: number, origin_id: number | string, origin_slot: number, type: string}} Link
 */

/**
 * @typedef {object} Widget
 * @property {string} name
 * @property {unknown} value
 * @property {Hook} [callback]
 * @property {{values?: unknown}} [options]
 * @property {boolean} [serialize]
 * @property {DragEditor} [dragEditor] ours
 */

/**
 * @typedef {object} GraphNode
 * @property {number | string} id
 * @property {string} type
 * @property {number} mode
 * @property {string} [comfyClass]
 * @property {string} [title]
 * @property {[number, number]} pos
 * @property {Graph | null} [graph]
 * @property {Graph} [subgraph]
 * @property {{name: string, type: string, link: number | null}[]} [inputs]
 * @property {Widget[]} [widgets]
 * @property {{nodeData?: {input?: {required?: Record<string, [unknown, Record<string, unknown>?]>}}}} constructor
 * @property {(slot: number, node: GraphNode, into: number) => void} connect
 * @property {(name: string, type: string, element: HTMLElement, options: object) => Widget} addDOMWidget
 * @property {() => void} [expandToFitContent]
 * @property {Hook} [onAdded]
 * @property {Hook} [onConfigure]
 * @property {Hook} [onConnectionsChange]
 * @property {Hook} [onExecuted]
 * @property {Hook} [onRemoved]
 */

/**
 * @typedef {object} Graph
 * @property {string} [id]
 * @property {Graph} [rootGraph]
 * @property {GraphNode[]} nodes
 * @property {{get?: (id: number) => Link | undefined, [id: number]: Link}} [links]
 * @property {{linkIds?: number[]}[]} [outputs] of a subgraph
 * @property {(id: number) => Link | null | undefined} [getLink]
 * @property {(id: number | string) => GraphNode | null | undefined} getNodeById
 * @property {(node: GraphNode) => void} add
 * @property {(front: boolean, back: boolean) => void} [setDirtyCanvas]
 */

/**
 * @typedef {object} Canvas
 * @property {Graph} [graph] that is shown
 * @property {Set<GraphNode>} [selectedItems]
 * @property {(node: GraphNode) => void} [selectNode]
 * @property {(front: boolean, back: boolean) => void} setDirty
 * @property {(e: WheelEvent) => void} processMouseWheel
 * @property {(e: PointerEvent) => void} processMouseDown
 * @property {(e: PointerEvent) => void} processMouseMove
 * @property {(e: PointerEvent) => void} processMouseUp
 */

/**
 * @typedef {object} Extension
 * @property {string} name
 * @property {() => Record<string, CustomWidget>} [getCustomWidgets]
 * @property {{id: string, label: string, icon: string, function: () => void}[]} [commands]
 * @property {(node: GraphNode) => {content: string, callback: () => void}[]} [getNodeMenuItems]
 * @property {() => void} [setup]
 * @property {(node: GraphNode) => void} [nodeCreated]
 * @property {(outputs: Record<string, Output>) => void} [onNodeOutputsUpdated]
 *
 * @typedef {(node: GraphNode, name: string, spec?: [string, {socketless?: boolean}?]) => {widget: Widget, minWidth: number, minHeight: number}} CustomWidget
 */

/**
 * @typedef {object} App
 * @property {(extension: Extension) => void} registerExtension
 * @property {Graph} [rootGraph]
 * @property {Graph} [graph] in older hosts: the graph at the top
 * @property {Canvas} [canvas]
 * @property {Record<string, Output>} [nodeOutputs]
 * @property {(number: number, count: number, ids?: string[]) => Promise<boolean>} queuePrompt false: it was refused
 * @property {Record<string, Refused> | null} [lastNodeErrors]
 * @property {Hook} [loadApiJson]
 * @property {Manager} [extensionManager]
 *
 * @typedef {{class_type?: string, errors?: {message?: string, details?: string}[]}} Refused what the server says of a node of a prompt that it did not take
 *
 * @typedef {object} Manager
 * @property {{add?: (message: {severity: string, summary: string, detail: string, life: number}) => void}} [toast]
 * @property {{activeWorkflow?: {changeTracker?: {captureCanvasState?: () => void, checkState?: () => void}}}} [workflow]
 */

/**
 * What the server tells, by the name of the event.
 * @typedef {object} Events
 * @property {{prompt_id: string}} execution_start
 * @property {{prompt_id: string, node: string, value: number, max: number}} progress
 * @property {{prompt_id: string, nodes: Record<string, Working>}} progress_state
 * @property {{jobId?: string, promptId?: string, nodeId: string, displayNodeId?: string, blob: Blob}} b_preview_with_metadata
 * @property {{prompt_id: string, node: string, display_node?: string, output?: Output}} executed
 * @property {{prompt_id: string}} execution_success
 * @property {Failure} execution_error
 * @property {{prompt_id: string}} execution_interrupted
 *
 * @typedef {{state: string, value: number, max: number, node_id: string, display_node_id?: string}} Working a node that runs or has run
 * @typedef {{prompt_id: string, exception_message?: string, node_type?: string, node_id?: string}} Failure
 * @typedef {<T extends keyof Events>(name: T, heard: (e: {detail?: Events[T]}) => void) => void} Listen
 */

/**
 * @typedef {object} Api
 * @property {string} [clientId]
 * @property {(route: string) => string} apiURL
 * @property {(route: string, options?: RequestInit) => Promise<Response>} fetchApi
 * @property {(id: string | null) => void} interrupt
 * @property {Listen} addEventListener
 */
export {}
